"""The goals of speed and size, and whether findings of compare.py meet them: means, and the worst points by name.

A goal has several lines. Each bounds the geometric mean of its values, every single one, or the share that is ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from figures import Finding, geometric_mean, groups, median_us, name_of, of_kind, peer_ratio, threads_of

INFERENCE_MEANS = {1: {"lstm": 1.4, "gru": 1.6, "rnn_tanh": 2.0}, 2: {"lstm": 1.6}}
TRAINING_MEANS = {"lstm": 1.7, "gru": 2.5, "rnn_tanh": 3.0}
STEP_RATIOS = {("addition", 1): 3.0, ("addition", 2): 3.0, ("char-rnn", 1): 1.3, ("char-rnn", 2): 1.4}
WIDE = 128  # from so many units on, the products of a compute-bound shape fill the machine
BF16_GAIN_SHAPES = ("char-rnn", "asr")
LEAST_BYTES = 4096  # one page: what the system can tell from nothing


def goals(findings: Iterable[Finding]) -> list[Finding]:
    """A dict a line: goal, what, points, mean, worst, worst_name, wanted, met."""
    findings = list(findings)
    return [line for lines_of in GOALS for line in lines_of(findings)]


def line(
    goal: str,
    what: str,
    values: Sequence[tuple[str, float]],
    *,
    each: float | None = None,
    mean: float | None = None,
    ahead: float | None = None,
    at_most: bool = False,
) -> Iterator[Finding]:
    """Nothing where there are no values. at_most: the bounds are upper ones and the worst is the largest."""
    if not values:
        return
    sign, below = ("<=", 1) if at_most else (">=", -1)
    worst_name, worst = max(values, key=lambda value: below * value[1])
    found = geometric_mean(value for _, value in values)
    share = sum(value > 1 for _, value in values) / len(values)
    bounds = [(f"each {sign} {each}", worst, each), (f"mean {sign} {mean}", found, mean)]
    wanted = [(text, below * (value - bound) <= 0) for text, value, bound in bounds if bound is not None]
    if ahead is not None:
        wanted.append((f"ahead at {ahead:.0%}", share >= ahead))
    yield {"goal": goal, "what": what, "points": len(values), "mean": found, "worst": worst, "worst_name": worst_name,
           "ahead": share, "wanted": ", ".join(text for text, _ in wanted),
           "met": all(met for _, met in wanted)}  # fmt: skip


def ratios(points: Iterable[Finding]) -> list[tuple[str, float]]:
    return [(name_of(point), point["ratio"]) for point in points if point["ratio"] is not None]


def inference(findings: list[Finding]) -> Iterator[Finding]:
    points = [point for point in of_kind(findings, "point") if point["mode"] == "inference"]
    for (threads,), several in groups(points, "threads").items():
        for (cell,), of_cell in groups(several, "cell").items():
            what = f"inference, {threads_of(several[0])}, {cell}: ratio to the best peer"
            mean = INFERENCE_MEANS.get(threads, {}).get(cell)
            yield from line("1", what, ratios(of_cell), each=0.97, mean=mean)
        what = f"inference, {threads_of(several[0])}: ratio to the best peer"
        yield from line("1", what, ratios(several), ahead=0.75)


def training(findings: list[Finding]) -> Iterator[Finding]:
    points = [point for point in of_kind(findings, "point") if point["mode"] == "training"]
    for several in groups(points, "threads").values():
        for (cell,), of_cell in groups(several, "cell").items():
            what = f"training, {threads_of(several[0])}, {cell}: ratio to the best peer"
            yield from line("2", what, ratios(of_cell), each=1.03, mean=TRAINING_MEANS.get(cell))
        alone = [(name_of(point), peer_ratio(point, "torch")) for point in several if "torch" in point["times"]]
        yield from line("2", f"training, {threads_of(several[0])}: ratio to torch", alone, mean=5.0)


def is_wide_and_computes(point: Finding) -> bool:
    return bool(point["bound_by"] == "compute" and point["shape"][4] >= WIDE)


def limits(findings: list[Finding]) -> Iterator[Finding]:
    for (mode, _), several in groups(of_kind(findings, "point"), "mode", "threads").items():
        place = f"{mode}, {threads_of(several[0])}"
        for wide, where, bound in ((True, f"compute-bound, H >= {WIDE}", 0.88), (False, "elsewhere", 0.75)):
            fractions = [(name_of(p), p["fraction"]) for p in several if is_wide_and_computes(p) == wide]
            yield from line("3", f"{place}: fraction of the limit, {where}", fractions, each=bound)


def two_threads(findings: list[Finding]) -> Iterator[Finding]:
    for (mode, threads), several in groups(of_kind(findings, "threads"), "mode", "threads").items():
        computing = [(name_of(p), p["speed_up"]) for p in several if p["bound_by"] == "compute"]
        if threads == 2:
            yield from line("4", f"{mode}: two threads against one, compute-bound", computing, each=1.85)
        times = [(name_of(p), 1 / p["speed_up"]) for p in several]
        yield from line("4", f"{mode}: time with {threads} threads over one's", times, each=1.03, at_most=True)


def whole_steps(findings: list[Finding]) -> Iterator[Finding]:
    for step in of_kind(findings, "step"):
        bound = STEP_RATIOS.get((step["name"], step["threads"]))
        own = step["value"]["pyrnn"]
        for peer, value in step["value"].items():
            if peer != "pyrnn" and bound is not None:
                ratio = value / own if step["unit"].startswith("s ") else own / value
                what = f"{step['name']}, {threads_of(step)}: ratio to {peer}"
                yield from line("5", what, [(step["name"], ratio)], each=bound)


def sizes(findings: list[Finding]) -> Iterator[Finding]:
    times = [("pyrnn", found["milliseconds"]["pyrnn"]) for found in of_kind(findings, "import")]
    yield from line("6", "import after NumPy, ms", times, each=60, at_most=True)
    wheels = [(found["name"], found["bytes"] / 1e6) for found in of_kind(findings, "wheel")]
    yield from line("6", "wheel, MB", wheels, each=3, at_most=True)
    steps = [s for s in of_kind(findings, "stream") if s["shape"][0] == "1 unit" and s["threads"] == 1]
    costs = [(name_of(stream), median_us(stream)) for stream in steps]
    yield from line("6", "fixed cost of stream.step, us", costs, each=1, at_most=True)
    memories = [m for m in of_kind(findings, "memory") if "torch" in m["bytes"] and "pyrnn" in m["bytes"]]
    growth = [(name_of(m), max(m["bytes"]["pyrnn"], LEAST_BYTES) / max(m["bytes"]["torch"], LEAST_BYTES))
              for m in memories]  # fmt: skip
    yield from line("6", "growth of memory in training over torch's", growth, each=1, at_most=True)


def bf16(findings: list[Finding]) -> Iterator[Finding]:
    for (mode, _), several in groups(of_kind(findings, "bf16"), "mode", "threads").items():
        place = f"bf16 {mode}, {threads_of(several[0])}"
        gains = [(name_of(p), p["gain"]) for p in several if p["shape"][0].split("/")[0] in BF16_GAIN_SHAPES]
        yield from line("7", f"{place}: ratio to float32", gains, each=1.6)
        yield from line("7", f"{place}: ratio to torch's bf16", ratios(several), each=1)


def ragged(findings: list[Finding]) -> Iterator[Finding]:
    for several in groups(of_kind(findings, "ragged"), "threads").values():
        place = threads_of(several[0])
        shares = [(name_of(p), p["ragged_share"]) for p in several]
        yield from line("ragged", f"{place}: uniform lengths over padded time", shares, each=0.62, at_most=True)
        shares = [(name_of(p), p["equal_share"]) for p in several]
        yield from line("ragged", f"{place}: all-equal lengths over none", shares, each=1.02, at_most=True)


def segments(findings: list[Finding]) -> Iterator[Finding]:
    found = of_kind(findings, "segments")
    for what, key, bound in (("peak memory", "memory_share", 0.06), ("time", "time_ratio", 1.4)):
        values = [(name_of(p), p[key]) for p in found]
        yield from line("segments", f"{what} over the full tape's", values, each=bound, at_most=True)


def other_instruction_sets(findings: list[Finding]) -> Iterator[Finding]:
    for (isa, mode), several in groups(of_kind(findings, "isa"), "isa", "mode").items():
        fractions = [(name_of(p), p["fraction"]) for p in several]
        yield from line(isa, f"{mode}: fraction of its own limit, compute-bound", fractions, each=0.8)


GOALS: tuple[Callable[[list[Finding]], Iterator[Finding]], ...] = (
    inference, training, limits, two_threads, whole_steps, sizes, bf16, ragged, segments, other_instruction_sets,
)  # fmt: skip


def verdicts(lines: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    """Whether all lines of each goal are met; goals without a line were not measured."""
    found: dict[str, bool] = {}
    for each in lines:
        found[each["goal"]] = found.get(each["goal"], True) and bool(each["met"])
    return found
