"""Data sets under Keras's names. Nothing is shipped: a file is given by its path or fetched once."""

from pyrnn.datasets import imdb, mnist

__all__ = ["imdb", "mnist"]
