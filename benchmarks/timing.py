"""Times several contestants in turn, so that all of them see the same moods of the machine."""

from __future__ import annotations

import gc
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Call = Callable[[], Any]
ROUND_SECONDS = 20e-3  # one contestant's turn, at least one call
WARM_SECONDS = 2e-3  # of calls before the clock starts: caches are cold and threads asleep after the pause
CHUNK_SECONDS = 0.5e-3  # a turn counts as its median chunk: a chunk in which the system ran something else drops out
QUIET_SECONDS = 2e-3
LONGEST_PAUSE_SECONDS = 0.5


class Timing(NamedTuple):
    """Of one call, in microseconds."""

    median_us: float
    best_us: float


class ContestantError(RuntimeError):
    """A contestant's call has failed; the cause says how."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: a call failed while it was timed")
        self.name = name


class Turn:
    """How often a contestant is called in a round, and what came out."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.rounds_us: list[float] = []
        pause_until_quiet()
        times, seconds = 1, seconds_of(call, 1)
        if seconds >= ROUND_SECONDS:
            self.rounds_us.append(seconds * 1e6)  # as long as a turn, and a turn like any other
        while seconds < WARM_SECONDS:
            times *= 2
            seconds = seconds_of(call, times)
        each = seconds / times
        self.warm_up = math.ceil(WARM_SECONDS / each) if each < ROUND_SECONDS else 0
        self.times = max(1, round(CHUNK_SECONDS / each))
        self.chunks = max(1, round(ROUND_SECONDS / (self.times * each)))

    def take(self) -> None:
        pause_until_quiet()
        seconds_of(self.call, self.warm_up)
        chunks = [seconds_of(self.call, self.times) for _ in range(self.chunks)]
        self.rounds_us.append(statistics.median(chunks) / self.times * 1e6)


def seconds_of(call: Call, times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - start


def pause_until_quiet() -> None:
    """Wait until no thread of this process runs: the last contestant's may go on spinning for a while."""
    deadline = time.perf_counter() + LONGEST_PAUSE_SECONDS
    while time.perf_counter() < deadline:
        before = time.process_time()
        time.sleep(QUIET_SECONDS)
        if time.process_time() - before < 0.1 * QUIET_SECONDS:
            return
    print(f"timing: threads still run {LONGEST_PAUSE_SECONDS} s after a call", file=sys.stderr)


def in_turn(calls: Mapping[str, Call], rounds: int) -> dict[str, Timing]:
    """Every contestant once a round; who begins changes from round to round. They must have run before.

    Raises ContestantError.
    """
    turns: dict[str, Turn] = {}
    names = list(calls)
    gc.collect()
    gc.disable()
    name = ""
    try:
        for name, call in calls.items():
            turns[name] = Turn(call)
        for i in range(rounds):
            for j in range(len(names)):
                name = names[(i + j) % len(names)]
                if len(turns[name].rounds_us) <= i:
                    turns[name].take()
    except Exception as error:
        raise ContestantError(name) from error
    finally:
        gc.enable()
    return {name: Timing(statistics.median(t.rounds_us), min(t.rounds_us)) for name, t in turns.items()}


def calls_within(call: Call, seconds: float, most: int) -> int:
    """How many calls take so long; at least a twentieth of `most`."""
    each = seconds_of(call, 20) / 20
    return max(most // 20, min(most, int(seconds / each)))


def single_calls_us(call: Call, times: int) -> list[float]:
    """What each of so many calls takes, without the clock's own share."""
    clock = time.perf_counter_ns
    empty, full = [0] * times, [0] * times
    for i in range(times):
        start = clock()
        empty[i] = clock() - start
    for i in range(times):
        start = clock()
        call()
        full[i] = clock() - start
    own = statistics.median(empty)
    return [max(0.0, (ns - own) * 1e-3) for ns in full]
