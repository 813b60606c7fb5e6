"""Compares and times pyrnn and the peers with one number of threads. A finding is a dict with its "kind"."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import ours
from problem import Problem, Run, check
from roofline import Roofline
from shapes import Shape
from timing import in_turn, pause_until_quiet, single_calls_us
from whole_steps import STEPS

import pyrnn
from pyrnn import ops

Finding = dict[str, Any]
ONE = Shape("1 unit", 1, 1, 1, 1)  # its time is what a call costs before it does any work
STREAM_CALLS = 2000  # a round


class Settings(NamedTuple):
    """What compare.py asks for."""

    threads: int
    cpus: list[int]  # as many as threads
    shapes: list[Shape]
    cells: list[str]
    modes: list[str]
    parts: list[str]
    peers: list[str]
    rounds: int


def load_peers(names: list[str]) -> tuple[dict[str, ModuleType], list[Finding]]:
    """The peers that are installed, by name, and what to say of the others."""
    peers, missing = {}, []
    for name in names:
        try:
            peers[name] = importlib.import_module(name if "." in name else f"peers.{name}")
        except ImportError as error:
            missing.append({"kind": "missing", "peer": name, "why": str(error)})
    return peers, missing


class Measurer:
    """Makes the findings of one process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.roofline = Roofline(settings.threads)
        self.cpus = affinity()
        self.fixed: dict[tuple[str, str], float] = {}
        self.peers, self.missing = load_peers(settings.peers)

    def findings(self) -> Iterator[Finding]:
        settings = self.settings
        pyrnn.set_num_threads(settings.threads)
        yield from self.missing
        versions = {"pyrnn": ours.version(), **{name: peer.version() for name, peer in self.peers.items()}}
        yield {"kind": "versions", "versions": versions, "engine": pyrnn.show_config(mode="dict")}
        yield {"kind": "roofline", "threads": settings.threads, **self.roofline.facts()}
        for mode in settings.modes if "grid" in settings.parts else ():
            for shape in settings.shapes:
                for cell in settings.cells:
                    yield self.point(mode, cell, shape)
        if "streaming" in settings.parts:
            for shape in [ONE, *(s for s in settings.shapes if s.steps == s.batch == s.layers == 1)]:
                for cell in settings.cells:
                    yield self.stream(cell, shape)
        if "steps" in settings.parts:
            for name, step in STEPS.items():
                yield {"kind": "step", "name": name, "threads": settings.threads} | step(
                    settings.threads, "torch" in self.peers, settings.rounds
                )

    def runs(self, mode: str, problem: Problem) -> dict[str, Run]:
        """Of pyrnn, then of the peers that have this mode."""
        modules = {"pyrnn": ours, **self.peers}
        return {name: getattr(module, mode)(problem) for name, module in modules.items() if hasattr(module, mode)}

    def errors(self, runs: dict[str, Run], problem: Problem) -> dict[str, dict[str, float]]:
        """For each peer, the share of the bound that pyrnn's difference takes: the second call's, buffers in use."""
        runs["pyrnn"].call()
        mine = runs["pyrnn"].results(runs["pyrnn"].call())
        found = {}
        for name, run in runs.items():
            if name != "pyrnn":
                found[name] = check(mine, run.results(run.call()), problem)
                if affinity() != self.cpus:
                    raise RuntimeError(f"{name} has changed the CPUs of the thread that called it")
        return found

    def point(self, mode: str, cell: str, shape: Shape) -> Finding:
        problem = Problem(cell, shape, self.settings.threads)
        runs = self.runs(mode, problem)
        errors = self.errors(runs, problem)
        times = in_turn({name: run.call for name, run in runs.items()}, self.settings.rounds)
        limit = self.roofline.limit(cell, len(problem.gates), shape, mode == "training")
        fixed_us = self.fixed_us(mode, cell) * shape.layers
        own_us = times["pyrnn"].median_us
        peers = {name: timing.median_us for name, timing in times.items() if name != "pyrnn"}
        best = min(peers, key=peers.__getitem__, default=None)
        return {
            "kind": "point",
            "mode": mode,
            "cell": cell,
            "shape": shape,
            "threads": self.settings.threads,
            "gflop": shape.flops(len(problem.gates)) * (3 if mode == "training" else 1) / 1e9,
            "times": {name: timing._asdict() for name, timing in times.items()},
            "best_peer": best,
            "ratio": None if best is None else peers[best] / own_us,
            "limit_us": limit.seconds * 1e6,
            "bound_by": limit.bound,
            "fixed_us": fixed_us,
            "fraction": limit.seconds * 1e6 / max(own_us - fixed_us, 1e-3),
            "errors": {name: max(shares.values()) for name, shares in errors.items()},
            "wrong": wrong_results(errors),
        }

    def fixed_us(self, mode: str, cell: str) -> float:
        """What a call costs that has next to nothing to do."""
        if (mode, cell) not in self.fixed:
            run: Run = getattr(ours, mode)(Problem(cell, ONE, self.settings.threads))
            self.fixed[mode, cell] = in_turn({"pyrnn": run.call}, self.settings.rounds)["pyrnn"].median_us
        return self.fixed[mode, cell]

    def stream(self, cell: str, shape: Shape) -> Finding:
        """Single calls of stream.step, and of the peers for one step: the median and the 99th percentile."""
        problem = Problem(cell, shape, self.settings.threads)
        runs = self.runs("inference", problem)
        stream = ops.pack(cell, *problem.layers[0]).stream()
        stream.state = problem.state_of(0)
        x, y = problem.x[0, 0], problem.dy[0, 0].copy()
        stream.step(x, out=y)
        own = Run(lambda: stream.step(x, out=y), lambda _: {"y": y.reshape(1, 1, -1)})
        errors = {name: check(own.results(None), run.results(run.call()), problem) for name, run in runs.items()}
        runs["pyrnn"] = own
        calls: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(self.settings.rounds):
            for name, run in runs.items():
                pause_until_quiet()
                single_calls_us(run.call, STREAM_CALLS // 4)
                calls[name] += single_calls_us(run.call, STREAM_CALLS)
        return {
            "kind": "stream",
            "cell": cell,
            "shape": shape,
            "threads": self.settings.threads,
            "times": {name: percentiles(values) for name, values in calls.items()},
            "wrong": wrong_results(errors),
        }


def wrong_results(errors: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The results that are off by more than their bound."""
    wrong = {name: {what: s for what, s in shares.items() if not s <= 1} for name, shares in errors.items()}
    return {name: shares for name, shares in wrong.items() if shares}


def percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {"median_us": ordered[len(ordered) // 2], "p99_us": ordered[len(ordered) * 99 // 100]}


def affinity() -> set[int] | None:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
