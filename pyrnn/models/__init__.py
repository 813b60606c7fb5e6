"""Models: layers in a graph or one after the other."""

from pyrnn.layers import LAYERS
from pyrnn.models.model import Model
from pyrnn.models.sequential import Sequential
from pyrnn.models.state import load_model, model_from_state, state_of

LAYERS |= {"Model": Model, "Sequential": Sequential}  # a model may be a layer of another, in a file too

__all__ = ["Model", "Sequential", "load_model", "model_from_state", "state_of"]
