"""Findings of compare.py as tables, each a head and rows: aligned for a terminal, or in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from figures import Finding, geometric_mean, gflops, groups, median_us, name_of, number, of_kind, peer_ratio

Row = Sequence[str]
NONE = "-"


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
    """How much faster pyrnn is with more threads than with one, where both were measured in turn."""
    rows: list[Row] = []
    for (mode, threads), several in groups(of_kind(findings, "threads"), "mode", "threads").items():
        values = sorted((found["speed_up"], name_of(found)) for found in several)
        mean = geometric_mean(gain for gain, _ in values)
        ends = [f"{gain:.2f} {name}" for gain, name in (values[0], values[-1])]
        rows.append([mode, str(threads), f"{mean:.2f}", *ends])
    return ["pass", "threads", "speed-up, mean", "least", "most"], rows


def goals_table(lines: Iterable[Finding]) -> tuple[Row, list[Row]]:
    """What goals.py says."""
    rows = [
        [line["goal"], line["what"], str(line["points"]), f"{line['mean']:.2f}", f"{line['worst']:.2f}",
         line["worst_name"], line["wanted"], "yes" if line["met"] else "no"]
        for line in lines
    ]  # fmt: skip
    return ["goal", "what", "points", "mean", "worst", "at", "wanted", "met"], rows


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
    own = [number(median_us(point)), f"{gflops(point):.0f}"]
    failed = "".join(f"; {name} failed" for name in point["failed"])
    ratio = f"{point['ratio']:.2f}" if point["best_peer"] else NONE
    return [*own, f"{point['best_peer'] or NONE}{failed}", ratio, f"{point['fraction']:.2f}"]


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


def own_table(findings: Iterable[Finding]) -> tuple[Row, list[Row]]:
    """pyrnn against itself: threads, lengths, segments, bf16 and other instruction sets."""
    rows: list[Row] = []
    for found in findings:
        for what, value in own_ratios(found):
            mode = found.get("mode", "training")
            rows.append([what, mode, found["shape"][0], found["cell"], str(found["threads"]), f"{value:.2f}"])
    return ["what", "pass", "shape", "cell", "threads", "value"], rows


def own_ratios(found: Finding) -> list[tuple[str, float]]:
    kind = found["kind"]
    if kind == "threads":
        return [("speed-up over one thread", found["speed_up"])]
    if kind == "ragged":
        shares = ("uniform lengths over padded time", "ragged_share"), ("equal lengths over none", "equal_share")
        return [(what, found[key]) for what, key in shares]
    if kind == "segments":
        parts = ("segments over the full tape: time", "time_ratio"), ("segments: peak memory", "memory_share")
        return [(what, found[key]) for what, key in parts]
    if kind == "bf16":
        against_torch = [("bf16 over torch's bf16", found["ratio"])] if found["ratio"] else []
        return [("bf16 over float32", found["gain"]), *against_torch]
    return [(f"{found['isa']}: fraction of its limit", found["fraction"])]


def aligned(table: tuple[Row, list[Row]]) -> str:
    """For a terminal."""
    head, rows = table
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in [head, *rows])


def markdown(table: tuple[Row, list[Row]]) -> str:
    head, rows = table
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])
