"""The limit of a shape on this machine, from the peak FMA rate and the bandwidth of the caches, measured by the engine.

    limit = max(FLOPs / peak, weight bytes / bandwidth of what holds them) + activations

`python benchmarks/roofline.py [threads]` prints what it is made of.
"""

from __future__ import annotations

import sys
import threading
from functools import cache
from typing import Any, NamedTuple

from figures import describe
from shapes import Shape

from pyrnn import _engine

# Activations of a unit and step. Backward uses what the tape keeps and computes none.
SIGMOIDS = {"lstm": 3, "gru": 2, "rnn_tanh": 0, "rnn_relu": 0}
TANHS = {"lstm": 2, "gru": 1, "rnn_tanh": 1, "rnn_relu": 0}

# Footprints to print: each lies well inside its level on current processors, the last one in none.
LEVELS = {"L1": 16 << 10, "L2": 384 << 10, "L3": 6 << 20, "memory": 256 << 20}
FLOAT_BYTES = 4
PROBES, PROBE_MS = 9, 5.0


class Limit(NamedTuple):
    """The shortest time of one call, and what it is bound by: "compute" or "loads"."""

    seconds: float
    bound: str


class Roofline:
    """What so many threads can do together, each on its own core and its own share of the weights."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.rate = cache(self._rate)

    def _rate(self, what: str, total_bytes: int = 0) -> float:
        """The best of several probes: float operations, bytes or elements a second."""
        return max(self._probe(what, max(1, total_bytes // self.threads)) for _ in range(PROBES))

    def _probe(self, what: str, bytes_each: int) -> float:
        if self.threads == 1:
            return _engine._probe(what, bytes_each, PROBE_MS)
        rates = [0.0] * self.threads
        start = threading.Barrier(self.threads)

        def measure(i: int) -> None:
            start.wait()
            rates[i] = _engine._probe(what, bytes_each, PROBE_MS)

        workers = [threading.Thread(target=measure, args=(i,)) for i in range(self.threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return sum(rates)

    def limit(self, cell: str, gates: int, shape: Shape, training: bool) -> Limit:
        """Of one call. Forward reads W_h once a step and W_x once at least; backward reads and writes as much again."""
        flops = shape.flops(gates) * (3 if training else 1)
        compute = flops / self.rate("fma")
        loads = sum(self._load_seconds(gates, shape, inputs, training) for inputs in shape.widths)
        elements = shape.layers * shape.steps * shape.batch * shape.units
        activations = sum(
            elements * counts[cell] / self.rate(what)
            for what, counts in (("sigmoid", SIGMOIDS), ("tanh", TANHS))
            if counts[cell]
        )
        return Limit(max(compute, loads) + activations, "compute" if compute >= loads else "loads")

    def _load_seconds(self, gates: int, shape: Shape, inputs: int, training: bool) -> float:
        W_x, W_h = (FLOAT_BYTES * width * gates * shape.units for width in (inputs, shape.units))
        if shape.steps == 1:  # what one call has read, the next one finds
            return (W_x + W_h) * (3 if training else 1) / self.rate("load", W_x + W_h)
        steps = shape.steps * (2 if training else 1)  # forward with W_h, backward with its transpose
        others = (2 * W_x + W_h) if training else 0  # W_x for dx, then dW_x and dW_h once
        return steps * W_h / self.rate("load", W_h) + (W_x + others) / self.rate("load", W_x + W_h)

    def facts(self) -> dict[str, Any]:
        """Peaks in GF/s and GB/s, activations in billions a second, of the kernels that calls run."""
        found: dict[str, Any] = {"isa": _engine.config()["isa"], "peak_gflops": self.rate("fma") / 1e9}
        found |= {f"{level}_gb_s": self.rate("load", size * self.threads) / 1e9 for level, size in LEVELS.items()}
        return found | {f"{what}_g_s": self.rate(what) / 1e9 for what in ("sigmoid", "tanh")}


if __name__ == "__main__":
    print(describe(Roofline(int(sys.argv[1]) if len(sys.argv) > 1 else 1).facts()))
