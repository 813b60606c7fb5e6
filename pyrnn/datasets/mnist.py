"""Handwritten digits: 60,000 to train on and 10,000 to test."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from pyrnn._types import Array
from pyrnn.data.files import get_file

ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


def load_data(path: str | PathLike[str] = "mnist.npz") -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Images (N, 28, 28) uint8 and digits (N,): ((x_train, y_train), (x_test, y_test)).

    path: an npz file with arrays of these names; where there is none, the name under which Keras's file is kept after
        it was fetched.

    LeCun et al. 1998, Gradient-based learning applied to document recognition.
    """
    if not Path(path).is_file():
        path = get_file(path, ORIGIN, file_hash=SHA256)
    with np.load(path, allow_pickle=False) as file:
        return (file["x_train"], file["y_train"]), (file["x_test"], file["y_test"])
