"""Products of batches of matrices against NumPy in float64, and their bits."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.tolerances import assert_close
from helpers.training import ran, random

from pyrnn import ops

SIZES = ((1, 1, 1, 1), (3, 5, 7, 9), (2, 17, 300, 33), (5, 3, 0, 2), (0, 2, 3, 4), (2, 600, 5, 65))
FLAGS = {"plain": (False, False), "a transposed": (True, False), "b transposed": (False, True)}


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_agrees_with_numpy(sizes: tuple[int, ...], flags: tuple[bool, bool], isa: str, dtype: str) -> None:
    batch, M, K, N = sizes
    a, b = random((batch, M, K), dtype), random((batch, K, N), dtype, 1)
    expected = a.astype(np.float64) @ b.astype(np.float64)
    swap = (0, 2, 1)
    given = [x.transpose(swap) if flag else x for x, flag in zip((a, b), flags, strict=True)]  # strided views too
    force = {"isa": isa, "workers": 1}
    c = ops.batch_product(*given, transpose_a=flags[0], transpose_b=flags[1], _force=force)
    assert c.dtype == dtype
    assert_close(c, expected, what="c", dtype=dtype, terms=K, steps=0)


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_bits_depend_neither_on_threads_nor_on_the_batch(flags: tuple[bool, bool]) -> None:
    a, b = random((7, 40, 40), "float32"), random((7, 40, 40), "float32", 1)
    options = {"transpose_a": flags[0], "transpose_b": flags[1]}
    whole = ops.batch_product(a, b, **options, _force={"workers": 1})
    split = ops.batch_product(a, b, **options, _force={"workers": 3})
    assert np.array_equal(whole, split)
    assert np.array_equal(whole[2:4], ops.batch_product(a[2:4], b[2:4], **options))


def test_workers_share_the_batch() -> None:
    ops.batch_product(random((4, 9, 9)), random((4, 9, 9)), _force={"workers": 2, "isa": "portable"})
    ran("portable", 2)


@pytest.mark.parametrize(
    ("a", "b", "options", "error", "message"),
    [
        ((3, 4), (1, 4, 2), {}, ValueError, r"a: expected \(batch, rows, columns\)"),
        ((1, 3, 4), (4, 2), {}, ValueError, r"b: expected \(batch, rows, columns\)"),
        ((2, 3, 4), (1, 4, 2), {}, ValueError, "b: expected 2 matrices, as many as a"),
        ((1, 3, 4), (1, 3, 2), {}, ValueError, "b: expected 4 rows"),
        ((1, 3, 4), (1, 2, 3), {"transpose_b": True}, ValueError, "b: expected 4 columns"),
        ((1, 3, 3), (1, 3, 3), {"transpose_a": True, "transpose_b": True}, ValueError, "transpose_b: expected False"),
    ],
)
def test_errors_name_the_argument(a: tuple, b: tuple, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ops.batch_product(np.zeros(a), np.zeros(b), **options)


def test_dtypes_must_be_one() -> None:
    with pytest.raises(TypeError, match="b: expected"):
        ops.batch_product(np.zeros((1, 2, 2)), np.zeros((1, 2, 2), np.float32))
