"""What calls allocate. Not for runs under a sanitizer, where memory is never used again."""

from __future__ import annotations

import resource
import sys

import numpy as np
import pytest
from helpers.api import D, H, arrays, random
from helpers.engine import DTYPES
from helpers.process import output_of

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


LONG = """
    import numpy as np
    from pyrnn import ops

    def kib(name):
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(name))

    weights = ops.Weights("lstm", np.full((16, 256), 0.1, np.float32), np.full((64, 256), 0.1, np.float32))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/status")
def test_segments_of_10000_steps_take_less_than_6_percent_of_the_full_tape() -> None:
    """The growth of the process at its peak, beyond the arrays that go in and come out."""
    code = (
        LONG
        + """
    x, dy = np.ones((10000, 8, 16), np.float32), np.ones((10000, 8, 64), np.float32)
    ops.backward(ops.forward("lstm", x[:50], weights, tape="segments")[2], dy[:50])
    before = kib("VmRSS")
    y, _, tape = ops.forward("lstm", x, weights, tape=MODE)
    gradients = ops.backward(tape, dy)
    print(1024 * (kib("VmHWM") - before) - y.nbytes - gradients.x.nbytes, tape.nbytes)
    """
    )
    growth = {}
    for mode in ("full", "segments"):
        growth[mode], nbytes = map(int, output_of(code.replace("MODE", repr(mode))).split())
        assert growth[mode] >= 0.9 * nbytes
    assert growth["full"] > 100e6
    assert growth["segments"] <= 0.06 * growth["full"], growth


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/status")
def test_memory_of_a_full_tape_is_let_go_where_only_segments_follow() -> None:
    code = (
        LONG
        + """
    x = np.ones((10000, 8, 16), np.float32)

    def step(x, tape):
        _, state, tape = ops.forward("lstm", x, weights, sequences=False, tape=tape)
        ops.backward(tape, None, state, need_dx=False)

    before = kib("VmRSS")
    step(x, True)
    kept = kib("VmRSS") - before
    for _ in range(200):
        step(x[:200], "segments")
    print(kept, kib("VmRSS") - before)
    """
    )
    kept, left = map(int, output_of(code).split())
    assert kept > 100e3
    assert left < 10e3
