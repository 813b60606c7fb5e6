"""From raw data to arrays that a model takes: padding and batches."""

from pyrnn.data.batches import batches
from pyrnn.data.padding import pad_sequences

__all__ = ["batches", "pad_sequences"]
