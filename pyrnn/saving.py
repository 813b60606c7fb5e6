"""Models and weights as files: safetensors, with the configuration as JSON in its metadata.

A file is written beside its place, flushed to the disk and renamed, so that it is whole or not there. It carries the
SHA-256 of all its other bytes; a file that was cut or changed is refused. Reading it never imports a name or runs
code: the configuration is JSON, and the models that are made of it know pyrnn's own layers, losses, metrics and
optimisers only. The name of a file says nothing about its format.

>>> import tempfile
>>> from pyrnn import Input, Sequential
>>> from pyrnn.layers import GRU
>>> model = Sequential([Input((None, 3)), GRU(2)])
>>> with tempfile.TemporaryDirectory() as folder:
...     save_model(model, folder + "/model.pyrnn")
...     load_model(folder + "/model.pyrnn").count_params()
...     save_weights(model, folder + "/model.weights")
...     load_weights(model, folder + "/model.weights")
42

safetensors, https://huggingface.co/docs/safetensors
"""

from pyrnn._files import read, write
from pyrnn.models.state import load_model, save_model
from pyrnn.training.weights import load_weights, save_weights

__all__ = ["load_model", "load_weights", "read", "save_model", "save_weights", "write"]
