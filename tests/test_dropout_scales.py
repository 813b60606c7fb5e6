"""Dropout's multipliers: the published generator, and the same draws however a batch is cut."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.training import ran

from pyrnn import ops


def philox(key: tuple[int, int], counter: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10 as in the paper."""
    k0, k1 = key
    c0, c1, c2, c3 = counter
    for _ in range(10):
        high_0, low_0 = divmod(0xD2511F53 * c0, 2**32)
        high_1, low_1 = divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high_1 ^ c1 ^ k0, low_1, high_0 ^ c3 ^ k1, low_0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


def mix(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def test_philox_is_the_published_generator() -> None:
    assert philox((0, 0), (0, 0, 0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    assert philox((0xA4093822, 0x299F31D0), (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)) == (
        0xD16CFE09,
        0x94FDCCEB,
        0x5001E420,
        0x24126EA1,
    )


def test_dropout_draws_from_philox(isa: str, dtype: str) -> None:
    seed, step, layer, t0, sample0, rate = 2**40 + 5, 123456, 7, 1000, 2000, 0.3
    scales = ops.dropout_scales(
        (2, 3, 150),
        rate,
        seed=seed,
        step=step,
        layer=layer,
        t0=t0,
        sample0=sample0,
        dtype=dtype,
        _force={"isa": isa, "workers": 2},
    )
    ran(isa, 2)
    key = mix((mix(seed) + step * 0x9E3779B97F4A7C15) % 2**64)
    for t, b, u in np.ndindex(2, 3, 150):
        words = philox((key % 2**32, key >> 32), (u // 64 * 16 + u % 16, sample0 + b, t0 + t, layer))
        kept = words[u % 64 // 16] >= round(rate * 2**32)
        assert scales[t, b, u] == (np.dtype(dtype).type(1 / (1 - rate)) if kept else 0)


def test_dropout_of_a_slice_is_the_slice() -> None:
    keys = {"seed": 3, "step": 4, "layer": 5}
    whole = ops.dropout_scales((6, 7, 70), 0.5, **keys)
    assert np.array_equal(ops.dropout_scales((2, 3, 50), 0.5, **keys, t0=3, sample0=2), whole[3:5, 2:5, :50])
    assert np.array_equal(ops.dropout_scales((7, 70), 0.5, **keys, t0=4), whole[4])
    assert np.array_equal(ops.dropout_scales((6, 7, 70), 0.5, **keys, dtype=np.float64), whole)
    for other in ({"seed": 4}, {"step": 5}, {"layer": 6}, {"t0": 1}, {"sample0": 1}):
        assert 0.4 < (ops.dropout_scales((6, 7, 70), 0.5, **(keys | other)) == whole).mean() < 0.6


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_dropout_rate(rate: float) -> None:
    n = 1000
    scales = ops.dropout_scales((n, n), rate, seed=1, step=2, layer=3, dtype="float64")
    dropped = scales == 0
    assert abs(dropped.mean() - rate) <= 5 * math.sqrt(rate * (1 - rate)) / n
    for axis in (0, 1):  # rows and columns alike
        assert abs(dropped.mean(axis=axis) - rate).max() <= 6 * math.sqrt(rate * (1 - rate) / n)
    assert (scales[~dropped] == (1 / (1 - rate) if rate < 1 else 0)).all()
