"""What calls allocate. Not for runs under a sanitizer, where memory is never used again."""

from __future__ import annotations

import resource
import sys

import numpy as np
import pytest
from helpers.api import D, H, arrays, random
from helpers.engine import DTYPES

from pyrnn import ops


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_into_out_allocates_nothing(dtype: str) -> None:
    stream = ops.pack("lstm", *arrays("lstm", dtype)).stream()
    x, out, step = random(D, dtype=dtype), np.empty(H, dtype), stream.step
    step(x, out)
    before = sys.getallocatedblocks()
    for _ in range(1000):
        step(x, out)
    assert sys.getallocatedblocks() - before < 100


def test_training_steps_reuse_their_memory() -> None:
    """The pages of a tape of 8 MB are touched first once, not in every step."""
    weights, x = ops.Weights("lstm", *arrays("lstm")), random(600, 32, D)

    def step() -> None:
        _, state, tape = ops.forward("lstm", x, weights, sequences=False, tape=True, threads=1)
        assert tape is not None
        assert tape.nbytes > 8e6
        ops.backward(tape, None, state, need_dx=False, threads=1)

    for _ in range(3):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        step()
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize() < 8e6
