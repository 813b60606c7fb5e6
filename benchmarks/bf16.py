"""pyrnn with weights and operands in bf16 against itself in float32, and against PyTorch's modules in bf16."""

from __future__ import annotations

from collections.abc import Iterator

import ours
from figures import Finding
from measure import Contest, Settings, load_peers
from problem import Problem, Results, error_share, wrong_results
from shapes import Shape, shapes_of_part

import pyrnn

EPS = 2.0**-8  # of bf16
# PyTorch rounds the states, the sums and all gradients to bf16 too, so that many times more roundings go into a result.
PEER_ROUNDINGS = 4


class HalfPrecision:
    """Makes the findings of one process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.peers, self.missing = load_peers([name for name in settings.peers if name == "torch"])

    def findings(self) -> Iterator[Finding]:
        pyrnn.set_num_threads(self.settings.threads)
        for mode in self.settings.modes:
            for shape in shapes_of_part("bf16", self.settings.shapes):
                for cell in self.settings.cells:
                    yield self.point(mode, cell, shape)

    def point(self, mode: str, cell: str, shape: Shape) -> Finding:
        problem = Problem(cell, shape, self.settings.threads)
        contest = Contest(f"{mode}_bf16", problem, self.peers)
        contest.runs["float32"] = getattr(ours, mode)(problem)
        own = contest.runs["pyrnn"]
        own.call()  # the results of the second call: buffers are in use
        mine = {what: array.copy() for what, array in own.results(own.call()).items()}
        errors = {}
        for name, found in contest.results_of_others():
            roundings = 1 if name == "float32" else 1 + PEER_ROUNDINGS
            errors[name] = shares(mine, found, shape, roundings)
        times = contest.time(self.settings.rounds)
        own_us = times["pyrnn"].median_us
        return {
            "kind": "bf16",
            "mode": mode,
            "cell": cell,
            "shape": shape,
            "threads": self.settings.threads,
            "times": {name: timing._asdict() for name, timing in times.items()},
            "gain": times["float32"].median_us / own_us,
            "ratio": times["torch"].median_us / own_us if "torch" in times else None,
            "errors": {name: max(several.values()) for name, several in errors.items()},
            "wrong": wrong_results(errors),
            "failed": contest.failed,
        }


def shares(found: Results, expected: Results, shape: Shape, roundings: int) -> dict[str, float]:
    """Differences as shares of the bound.

    Rounding both factors moves a product by about 0.4 eps of bf16, at random, and so it moves a sum of n of them by
    0.4 eps of the sum, whatever n is; roundings add up over the products on the way to a result.
    """
    if found.keys() != expected.keys():
        raise ValueError(f"expected results {sorted(expected)}, got {sorted(found)}")
    products = {what: shape.layers * (1 if what == "y" else 3) for what in expected}
    return {what: error_share(found[what], expected[what], roundings * n, EPS) for what, n in products.items()}
