"""Findings of compare.py as lines for a terminal and as Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Finding = dict[str, Any]
Row = Sequence[str]
NONE = "-"


# ---- lines for a terminal


def line_of(finding: Finding) -> str:
    return LINES[finding["kind"]](finding)


def point_line(point: Finding) -> str:
    times = {name: t["median_us"] for name, t in point["times"].items()}
    own, best = times.pop("pyrnn"), point["times"]["pyrnn"]["best_us"]
    ratio = f"{point['ratio']:5.2f} x {point['best_peer']}" if point["best_peer"] else "no peer"
    peers = ", ".join(f"{name} {number(us)}" for name, us in times.items())
    return (
        f"{point['mode']:9} {point['cell']:8} {point['shape'][0]:13} {threads_of(point):9} "
        f"{number(own):>7} us (best {number(best)}) {gflops(point):4.0f} GF/s  {ratio:20} "
        f"{point['fraction']:4.2f} of the limit by {point['bound_by']}, {number(point['limit_us'])} us; "
        f"fixed {number(point['fixed_us'])} us; {peers or 'no peers'}{wrong_note(point)}"
    )


def stream_line(stream: Finding) -> str:
    times = ", ".join(f"{n} {number(t['median_us'])} / {number(t['p99_us'])}" for n, t in stream["times"].items())
    place = f"{stream['cell']:8} {stream['shape'][0]:13} {threads_of(stream):9}"
    return f"stream    {place} median / 99 % of a step in us: {times}{wrong_note(stream)}"


def step_line(step: Finding) -> str:
    values = ", ".join(f"{name} {number(value)}" for name, value in step["value"].items())
    return f"step      {step['name']:22} {threads_of(step):9} {step['unit']}: {values}{wrong_note(step)}"


def memory_line(memory: Finding) -> str:
    values = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in memory["bytes"].items())
    return f"memory    {memory['cell']:8} {memory['shape'][0]:13} {threads_of(memory):9} MB more in training: {values}"


def versions_line(found: Finding) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"versions  {versions}; kernels {found['engine']['isa']}"


def describe(facts: Finding) -> str:
    """A roofline."""
    loads = ", ".join(f"{level} {facts[f'{level}_gb_s']:.0f}" for level in ("L1", "L2", "L3", "memory"))
    rates = f"sigmoid {facts['sigmoid_g_s']:.1f} and tanh {facts['tanh_g_s']:.1f} G/s"
    return f"peak {facts['peak_gflops']:.0f} GF/s; loads {loads} GB/s; {rates}"


def wrong_note(finding: Finding) -> str:
    notes = [f"{name}: {shares}" for name, shares in finding.get("wrong", {}).items()]
    return f"  WRONG, times the bound: {'; '.join(notes)}" if notes else ""


LINES: dict[str, Callable[[Finding], str]] = {
    "point": point_line,
    "stream": stream_line,
    "step": step_line,
    "memory": memory_line,
    "versions": versions_line,
    "missing": lambda f: f'missing   {f["peer"]}: {f["why"]} (pip install ".[bench]" brings the peers)',
    "roofline": lambda f: f"roofline  {threads_of(f)}: {describe(f)}",
    "import": lambda f: f"import    ms: {', '.join(f'{n} {number(ms)}' for n, ms in f['milliseconds'].items())}",
    "wheel": lambda f: f"wheel     {f['name']}: {f['bytes'] / 1e6:.2f} MB",
}


# ---- figures


def gflops(point: Finding) -> float:
    return float(point["gflop"] / point["times"]["pyrnn"]["median_us"] * 1e6)


def number(value: float) -> str:
    """Three digits, or all before the point."""
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return format(value, f".{digits}f")


def threads_of(finding: Finding) -> str:
    return f"{finding['threads']} thread{'' if finding['threads'] == 1 else 's'}"


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(math.fsum(logs) / len(logs))


def name_of(point: Finding) -> str:
    return f"{point['cell']} {point['shape'][0]}"


def of_kind(findings: Iterable[Finding], kind: str) -> list[Finding]:
    return [finding for finding in findings if finding["kind"] == kind]


def groups(points: Iterable[Finding], *keys: str) -> dict[tuple[Any, ...], list[Finding]]:
    found: dict[tuple[Any, ...], list[Finding]] = {}
    for point in points:
        found.setdefault(tuple(point[key] for key in keys), []).append(point)
    return found


def peer_ratio(point: Finding, peer: str) -> float:
    return float(point["times"][peer]["median_us"] / point["times"]["pyrnn"]["median_us"])


# ---- tables: a head and rows


def summary(findings: Iterable[Finding]) -> tuple[Row, list[Row]]:
    """Ratios to the best peer and shares of the limit: means and the worst points by name."""
    head = ["pass", "threads", "cell", "ratio, mean", "ahead", "worst ratio", "of the limit, mean", "worst"]
    rows: list[Row] = []
    for (mode, threads), several in groups(of_kind(findings, "point"), "mode", "threads").items():
        by_cell = groups(several, "cell")
        named = [(cell, points) for (cell,), points in by_cell.items()]
        for cell, points in named + ([("all", several)] if len(named) > 1 else []):
            rows.append([mode, str(threads), cell, *ratio_columns(points), *limit_columns(points)])
    return head, rows


def ratio_columns(points: list[Finding]) -> Row:
    compared = [point for point in points if point["ratio"] is not None]
    if not compared:
        return [NONE] * 3
    worst = min(compared, key=lambda point: float(point["ratio"]))
    ahead = sum(point["ratio"] > 1 for point in compared)
    mean = geometric_mean(point["ratio"] for point in compared)
    return [f"{mean:.2f}", f"{ahead} of {len(compared)}", f"{worst['ratio']:.2f} {name_of(worst)}"]


def limit_columns(points: list[Finding]) -> Row:
    worst = min(points, key=lambda point: float(point["fraction"]))
    return [f"{geometric_mean(p['fraction'] for p in points):.2f}", f"{worst['fraction']:.2f} {name_of(worst)}"]


def peer_means(findings: Iterable[Finding]) -> tuple[Row, list[Row]]:
    """The mean ratio to each peer alone, over all cells and shapes."""
    rows: list[tuple[Row, dict[str, str]]] = []
    for (mode, threads), points in groups(of_kind(findings, "point"), "mode", "threads").items():
        names = dict.fromkeys(name for point in points for name in point["times"] if name != "pyrnn")
        means = {
            name: geometric_mean(peer_ratio(point, name) for point in points if name in point["times"])
            for name in names
        }
        rows.append(([mode, str(threads)], {name: f"{mean:.2f}" for name, mean in means.items()}))
    return named_values_table(rows, ["mean ratio to one peer", "threads"])


def scaling(findings: Iterable[Finding]) -> tuple[Row, list[Row]]:
    """How much faster pyrnn is with more threads than with one."""
    rows: list[Row] = []
    for (mode,), points in groups(of_kind(findings, "point"), "mode").items():
        alone = {(p["cell"], tuple(p["shape"])): p for p in points if p["threads"] == 1}
        gains = [(speed_up(alone, point), point) for point in points if point["threads"] > 1]
        for (threads,), several in groups([point for gain, point in gains if gain], "threads").items():
            values = sorted((speed_up(alone, p), name_of(p)) for p in several)
            mean = geometric_mean(gain for gain, _ in values)
            ends = [f"{gain:.2f} {name}" for gain, name in (values[0], values[-1])]
            rows.append([mode, str(threads), f"{mean:.2f}", *ends])
    return ["pass", "threads", "speed-up, mean", "least", "most"], rows


def speed_up(alone: dict[Any, Finding], point: Finding) -> float:
    one = alone.get((point["cell"], tuple(point["shape"])))
    return 0.0 if one is None else one["times"]["pyrnn"]["median_us"] / point["times"]["pyrnn"]["median_us"]


def points_table(points: list[Finding]) -> tuple[Row, list[Row]]:
    """Every point of one pass: a row a shape and cell, the columns repeated for each number of threads."""
    counts = sorted({point["threads"] for point in points})
    columns = ["us", "GF/s", "best peer", "ratio", "of the limit"]
    head = ["shape", "cell", *(f"{column}, {n} thr." for n in counts for column in columns)]
    rows: list[Row] = []
    for (shape, cell), several in groups([{**p, "name": p["shape"][0]} for p in points], "name", "cell").items():
        by_threads = {point["threads"]: point for point in several}
        cells = [point_columns(by_threads[n]) if n in by_threads else [NONE] * len(columns) for n in counts]
        rows.append([shape, cell, *(value for values in cells for value in values)])
    return head, rows


def point_columns(point: Finding) -> Row:
    own = [number(point["times"]["pyrnn"]["median_us"]), f"{gflops(point):.0f}"]
    peer = [point["best_peer"], f"{point['ratio']:.2f}"] if point["best_peer"] else [NONE, NONE]
    return [*own, *peer, f"{point['fraction']:.2f}"]


def named_values_table(rows: Iterable[tuple[Row, dict[str, str]]], head: Row) -> tuple[Row, list[Row]]:
    """Rows of labels, then a column a library."""
    rows = list(rows)
    names = list(dict.fromkeys(name for _, values in rows for name in values))
    return [*head, *names], [[*labels, *(values.get(name, NONE) for name in names)] for labels, values in rows]


def streams_table(streams: list[Finding]) -> tuple[Row, list[Row]]:
    rows = (
        (
            [stream["shape"][0], stream["cell"], str(stream["threads"])],
            {n: f"{number(t['median_us'])} / {number(t['p99_us'])}" for n, t in stream["times"].items()},
        )
        for stream in streams
    )
    return named_values_table(rows, ["us a step, median / 99 %", "cell", "threads"])


def steps_table(steps: list[Finding]) -> tuple[Row, list[Row]]:
    rows = (
        ([step["name"], step["unit"], str(step["threads"])], {n: number(v) for n, v in step["value"].items()})
        for step in steps
    )
    return named_values_table(rows, ["whole training steps", "unit", "threads"])


def memory_table(memories: list[Finding]) -> tuple[Row, list[Row]]:
    rows = (
        ([m["shape"][0], m["cell"], str(m["threads"])], {n: f"{b / 1e6:.1f}" for n, b in m["bytes"].items()})
        for m in memories
    )
    return named_values_table(rows, ["MB more in training", "cell", "threads"])


def imports_table(imports: list[Finding]) -> tuple[Row, list[Row]]:
    rows = ((["import, ms"], {n: number(ms) for n, ms in found["milliseconds"].items()}) for found in imports)
    return named_values_table(rows, [""])


def aligned(table: tuple[Row, list[Row]]) -> str:
    """For a terminal."""
    head, rows = table
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in [head, *rows])


def markdown(table: tuple[Row, list[Row]]) -> str:
    head, rows = table
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])
