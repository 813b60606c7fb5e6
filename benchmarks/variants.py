"""pyrnn against itself, no peer in the process: two threads against one, ragged rows against padded ones,
recomputed segments against a full tape. What must not change by a bit is compared to the bit before it is timed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import footprint
import numpy as np
import ours
from figures import Finding
from measure import Settings
from problem import Problem, Results, Run, check, wrong_results
from roofline import Roofline
from shapes import Shape, shapes_of_part
from timing import in_turn

import pyrnn

LONG_STEPS = 10_000  # of a sequence whose tape is worth recomputing


class Variants:
    """Makes the findings of one process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.roofline = Roofline(1)

    def findings(self) -> Iterator[Finding]:
        settings = self.settings
        pyrnn.set_num_threads(settings.threads)
        if "threads" in settings.parts and settings.threads > 1:
            for mode in settings.modes:
                for shape in settings.shapes:
                    for cell in settings.cells:
                        yield self.threads(mode, cell, shape)
        if "training" in settings.modes:
            yield from self.training_findings()

    def training_findings(self) -> Iterator[Finding]:
        settings = self.settings
        for shape in shapes_of_part("ragged", settings.shapes) if "ragged" in settings.parts else ():
            for cell in settings.cells:
                for threads in sorted({1, settings.threads}):
                    yield self.ragged(cell, shape, threads)
        for shape in shapes_of_part("segments", settings.shapes) if "segments" in settings.parts else ():
            for cell in settings.cells:
                yield self.segments(cell, shape._replace(steps=LONG_STEPS) if shape.base == "long" else shape)

    def threads(self, mode: str, cell: str, shape: Shape) -> Finding:
        """As many threads as there are against one, in the same process."""
        most = self.settings.threads
        problems = {str(n): Problem(cell, shape, n) for n in (1, most)}
        runs = {name: getattr(ours, mode)(problem) for name, problem in problems.items()}
        one, many = (results_of(run) for run in runs.values())
        found = self.timed("threads", cell, shape, most, runs)
        limit = self.roofline.limit(cell, len(problems["1"].gates), shape, mode == "training")
        return found | {
            "mode": mode,
            "bound_by": limit.bound,
            "speed_up": share(found, "1", str(most)),
            "wrong": wrong_results({f"{most} threads": differing(many, one)}),
        }

    def ragged(self, cell: str, shape: Shape, threads: int) -> Finding:
        """Lengths uniform in 1..T against whole rows; and lengths that are all T against none."""
        problem = Problem(cell, shape, threads)
        T, B = shape.steps, shape.batch
        lengths = np.random.default_rng(11).integers(1, T + 1, B)
        runs = {
            "padded": ours.training(problem),
            "ragged": ours.training(problem, lengths=lengths),
            "equal": ours.training(problem, lengths=np.full(B, T)),
        }
        wrong = {
            "ragged": check(results_of(runs["ragged"]), padded_results(problem, lengths), problem),
            "equal": differing(results_of(runs["equal"]), results_of(runs["padded"])),
        }
        found = self.timed("ragged", cell, shape, threads, runs)
        return found | {
            "ragged_share": share(found, "ragged", "padded"),
            "equal_share": share(found, "equal", "padded"),
            "steps_share": float(lengths.sum() / (T * B)),
            "wrong": wrong_results(wrong),
        }

    def segments(self, cell: str, shape: Shape) -> Finding:
        """A tape whose segments backward recomputes against a full one: time and peak memory."""
        problem = Problem(cell, shape, 1)
        runs = {tape: ours.training(problem, tape=tape) for tape in ("full", "segments")}
        full, recomputed = (results_of(run) for run in runs.values())
        found = self.timed("segments", cell, shape, 1, runs)
        peaks = {tape: footprint.growth("pyrnn", cell, shape, 1, calls=1, tape=tape) for tape in runs}
        bytes_of = {tape: peak["growth"] - peak["results"] for tape, peak in peaks.items()}
        return found | {
            "time_ratio": share(found, "segments", "full"),
            "bytes": bytes_of,
            "memory_share": max(bytes_of["segments"], 1) / max(bytes_of["full"], 1),
            "wrong": wrong_results({"segments": differing(recomputed, full)}),
        }

    def timed(self, kind: str, cell: str, shape: Shape, threads: int, runs: dict[str, Run]) -> Finding:
        times = in_turn({name: run.call for name, run in runs.items()}, self.settings.rounds)
        timings = {name: timing._asdict() for name, timing in times.items()}
        return {"kind": kind, "cell": cell, "shape": shape, "threads": threads, "times": timings}


def share(found: Finding, name: str, of: str) -> float:
    return float(found["times"][name]["median_us"] / found["times"][of]["median_us"])


def results_of(run: Run) -> Results:
    """Copies of the second call's results: buffers are in use."""
    run.call()
    return {what: array.copy() for what, array in run.results(run.call()).items()}


def differing(found: Results, expected: Results) -> dict[str, float]:
    """What is not the same to the bit."""
    if found.keys() != expected.keys():
        raise ValueError(f"expected results {sorted(expected)}, got {sorted(found)}")
    return {what: math.inf for what in expected if not np.array_equal(found[what], expected[what])}


def padded_results(problem: Problem, lengths: Any) -> Results:
    """What the rows give that go on behind their ends, where their output does not count."""
    inside = (np.arange(problem.shape.steps)[:, None] < lengths)[:, :, None]
    ended = Problem(problem.cell, problem.shape, problem.threads)
    ended.dy = problem.dy * inside
    results = results_of(ours.training(ended))
    return results | {"y": results["y"] * inside}
