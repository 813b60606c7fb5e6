"""From raw data to arrays that a model takes: padding and batches."""

from pyrnn.data.batches import batches
from pyrnn.data.dataset import Dataset
from pyrnn.data.padding import pad_sequences
from pyrnn.data.windows import timeseries_dataset_from_array

__all__ = ["Dataset", "batches", "pad_sequences", "timeseries_dataset_from_array"]
