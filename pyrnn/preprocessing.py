"""Keras's old address of the data helpers: `preprocessing.sequence.pad_sequences` and the like."""

from __future__ import annotations

from types import SimpleNamespace

from pyrnn.data.padding import pad_sequences
from pyrnn.data.windows import timeseries_dataset_from_array

__all__ = ["pad_sequences", "sequence", "timeseries_dataset_from_array"]

sequence = SimpleNamespace(pad_sequences=pad_sequences)
