"""Compares and times pyrnn and the peers with one number of threads. A finding is a dict with its "kind"."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

import ours
from figures import Finding
from problem import FACTS, Problem, Results, Run, check, wrong_results
from roofline import Roofline
from shapes import Shape
from timing import ContestantError, Timing, calls_within, in_turn, pause_until_quiet, single_calls_us
from whole_steps import STEPS

import pyrnn
from pyrnn import ops

ONE = Shape("1 unit", 1, 1, 1, 1)  # its time is what a call costs before it does any work
STREAM_CALLS, STREAM_SECONDS = 2000, 0.1  # a round, whichever is less
Errors = dict[str, dict[str, float]]  # of each peer, the share of the bound that each result's difference takes


class Settings(NamedTuple):
    """What compare.py asks of one process."""

    contest: str  # "peers"; "own" for pyrnn against itself; or the instruction set that PYRNN_ISA names
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


class Contest:
    """pyrnn and the peers with the same problem. A peer that fails is out of it, and `failed` says why."""

    def __init__(self, mode: str, problem: Problem, peers: dict[str, ModuleType]) -> None:
        self.problem = problem
        self.failed: dict[str, str] = {}
        self.cpus = affinity()
        self.runs: dict[str, Run] = {"pyrnn": getattr(ours, mode)(problem)}
        for name, peer in peers.items():
            if hasattr(peer, mode):
                try:
                    self.runs[name] = getattr(peer, mode)(problem)
                except Exception as error:
                    self.drop(name, error)

    def drop(self, name: str, error: BaseException) -> None:
        self.failed[name] = f"{type(error).__name__}: {error}"
        self.runs.pop(name, None)

    def results_of_others(self) -> Iterator[tuple[str, Results]]:
        """Of all but pyrnn, by name."""
        for name in [name for name in self.runs if name != "pyrnn"]:
            try:
                results = self.runs[name].results(self.runs[name].call())
                if self.cpus is not None and affinity() != self.cpus:
                    os.sched_setaffinity(0, self.cpus)
                    raise RuntimeError("it has changed the CPUs of the thread that called it")
            except Exception as error:
                self.drop(name, error)
            else:
                yield name, results

    def compare(self, mine: Results) -> Errors:
        """The differences of the peers' results from these."""
        return {name: check(mine, results, self.problem) for name, results in self.results_of_others()}

    def time(self, rounds: int) -> dict[str, Timing]:
        while True:
            try:
                return in_turn({name: run.call for name, run in self.runs.items()}, rounds)
            except ContestantError as error:
                if error.name == "pyrnn" or error.__cause__ is None:
                    raise
                self.drop(error.name, error.__cause__)


class Measurer:
    """Makes the findings of one process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.roofline = Roofline(settings.threads)
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

    def findings_of_isa(self) -> Iterator[Finding]:
        """The kernels of another instruction set against their own limit, where that is the FMA rate."""
        yield {"kind": "roofline", "threads": self.settings.threads, **self.roofline.facts()}
        for mode in self.settings.modes:
            for shape in self.settings.shapes:
                for cell in self.settings.cells:
                    gates = len(FACTS[cell]["gates"])
                    if self.roofline.limit(cell, gates, shape, mode == "training").bound == "compute":
                        yield self.point(mode, cell, shape) | {"kind": "isa", "isa": self.settings.contest}

    def point(self, mode: str, cell: str, shape: Shape) -> Finding:
        problem = Problem(cell, shape, self.settings.threads)
        contest = Contest(mode, problem, self.peers)
        own = contest.runs["pyrnn"]
        own.call()  # the results of the second call: buffers are in use
        errors = contest.compare(own.results(own.call()))
        times = contest.time(self.settings.rounds)
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
            "failed": contest.failed,
        }

    def fixed_us(self, mode: str, cell: str) -> float:
        """What a call costs that has next to nothing to do: the least, so that no noise of it flatters a fraction."""
        if (mode, cell) not in self.fixed:
            run: Run = getattr(ours, mode)(Problem(cell, ONE, self.settings.threads))
            self.fixed[mode, cell] = in_turn({"pyrnn": run.call}, self.settings.rounds)["pyrnn"].best_us
        return self.fixed[mode, cell]

    def stream(self, cell: str, shape: Shape) -> Finding:
        """Single calls of stream.step, and of the peers for one step: the median and the 99th percentile."""
        problem = Problem(cell, shape, self.settings.threads)
        contest = Contest("inference", problem, self.peers)
        stream = ops.pack(cell, *problem.layers[0]).stream()
        stream.state = problem.state_of(0)
        x, y = problem.x[0, 0], problem.dy[0, 0].copy()
        stream.step(x, out=y)
        own, whole = {"y": y.reshape(1, 1, -1).copy()}, contest.runs["pyrnn"]
        errors = {"pyrnn": check(own, whole.results(whole.call()), problem), **contest.compare(own)}
        contest.runs["pyrnn"] = Run(lambda: stream.step(x, out=y), lambda _: own)
        calls: dict[str, list[float]] = {name: [] for name in contest.runs}
        times = {name: calls_within(run.call, STREAM_SECONDS, STREAM_CALLS) for name, run in contest.runs.items()}
        for _ in range(self.settings.rounds):
            for name, run in contest.runs.items():
                pause_until_quiet()
                single_calls_us(run.call, times[name] // 4)
                calls[name] += single_calls_us(run.call, times[name])
        return {
            "kind": "stream",
            "cell": cell,
            "shape": shape,
            "threads": self.settings.threads,
            "times": {name: percentiles(values) for name, values in calls.items()},
            "wrong": wrong_results(errors),
            "failed": contest.failed,
        }


def percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {"median_us": ordered[len(ordered) // 2], "p99_us": ordered[len(ordered) * 99 // 100]}


def affinity() -> set[int] | None:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
