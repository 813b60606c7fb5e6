"""Windows of a long series, as batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pyrnn.data.dataset import Dataset, as_data


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
) -> Dataset:
    """Batches of windows of a series, with a target each: what forecasting trains on.

    data: (N, ...) steps of the series.
    targets: (M, ...), of which the i-th belongs to the window that begins at step i; None for windows alone.
    sequence_length: T, steps of a window.
    sequence_stride: steps between the beginnings of two windows.
    sampling_rate: steps of the series for one step of a window.
    batch_size: B; None for windows one by one.
    shuffle: windows in random order, in every loop another one.
    seed: of the shuffling.
    start_index, end_index: only this part of the series.

    Returns a Dataset of (B, T, ...), or of pairs with (B, ...).
    Raises ValueError where no window fits.

    >>> batches = timeseries_dataset_from_array(np.arange(10), np.arange(10) + 5, sequence_length=3, batch_size=4)
    >>> x, y = next(iter(batches))
    >>> x.shape, x[1].tolist(), y.tolist()
    ((4, 3), [1, 2, 3], [5, 6, 7, 8])

    Keras, https://keras.io/api/data_loading/timeseries/
    """
    for argument, value in (
        ("sequence_length", sequence_length),
        ("sequence_stride", sequence_stride),
        ("sampling_rate", sampling_rate),
        ("batch_size", 1 if batch_size is None else batch_size),
    ):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{argument}: expected an integer >= 1, got {value!r}")
    series = np.asarray(data)
    begin = 0 if start_index is None else start_index
    end = len(series) if end_index is None else end_index
    if not 0 <= begin < end <= len(series):
        raise ValueError(f"start_index, end_index: expected 0 <= start < end <= {len(series)}, got {begin}, {end}")
    series = series[begin:end]
    wanted = None if targets is None else np.asarray(targets)[begin:end]
    count = len(series) - (sequence_length - 1) * sampling_rate
    if wanted is not None:
        count = min(count, len(wanted))
    starts = np.arange(0, count, sequence_stride)
    if not len(starts):
        raise ValueError(
            f"data: expected at least {(sequence_length - 1) * sampling_rate + 1} steps, got {len(series)}"
        )
    offsets = np.arange(sequence_length) * sampling_rate
    streams = np.random.SeedSequence(seed)

    def windows(positions: Any) -> Any:
        x = series[positions[..., None] + offsets]
        return x if wanted is None else (x, wanted[positions])

    size = 1 if batch_size is None else batch_size
    batches = -(-len(starts) // size)

    def make() -> Iterator[Any]:
        order = starts
        if shuffle:
            order = np.random.default_rng(streams.spawn(1)[0]).permutation(starts)
        for i in range(batches):
            yield as_data(windows(order[i * size : (i + 1) * size] if batch_size is not None else order[i]))

    return Dataset(make, batches)
