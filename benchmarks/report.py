"""Turns the JSON of compare.py into the tables of README.md, between its two markers.

    python benchmarks/compare.py --threads 1,2 --json results.json && python benchmarks/report.py results.json

Nobody types the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from figures import describe, groups, of_kind, threads_of
from tables import (
    goals_table,
    imports_table,
    markdown,
    memory_table,
    own_table,
    peer_means,
    points_table,
    scaling,
    steps_table,
    streams_table,
    summary,
)

BEGIN, END = "<!-- benchmarks/report.py: begin -->", "<!-- benchmarks/report.py: end -->"
OWN_KINDS = ("threads", "ragged", "segments", "bf16", "isa")
README = Path(__file__).parents[1] / "README.md"


def report(data: dict[str, Any]) -> str:
    """The Markdown that stands between the markers."""
    return "\n\n".join(blocks(data))


def blocks(data: dict[str, Any]) -> Iterator[str]:
    findings = data["findings"]
    yield heading(data)
    for table in (goals_table(data["goals"]), summary(findings), peer_means(findings), scaling(findings)):
        if table[1]:
            yield markdown(table)
    small = [("step", steps_table), ("stream", streams_table), ("import", imports_table)]
    for kind, table_of in small:
        if found := of_kind(findings, kind):
            yield markdown(table_of(found))
    for (mode,), points in groups(of_kind(findings, "point"), "mode").items():
        yield folded(f"Every point: {mode}", markdown(points_table(points)))
    if own := [finding for finding in findings if finding["kind"] in OWN_KINDS]:
        yield folded("pyrnn against itself", markdown(own_table(own)))
    if memories := of_kind(findings, "memory"):
        yield folded("Memory in training", markdown(memory_table(memories)))


def heading(data: dict[str, Any]) -> str:
    """Machine, versions, limits and what was left out, as sentences."""
    machine, findings = data["machine"], data["findings"]
    text = [f"{machine['cpu']}, {machine['cpus']} CPUs ({', '.join(machine['caches'])}), Python {machine['python']}."]
    for found in of_kind(findings, "versions")[:1]:
        versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        text.append(f"{versions}; kernels: {found['engine']['isa']}, {found['engine']['compiler']}.")
    text += [f"{found['isa']}, {threads_of(found)}: {describe(found)}." for found in of_kind(findings, "roofline")]
    missing = sorted({found["peer"] for found in of_kind(findings, "missing")})
    if missing:
        text.append(f"Not installed: {', '.join(missing)}.")
    failed = sorted({name for found in findings for name in found.get("failed", {})})
    if failed:
        text.append(f"Failed at some points, which name them: {', '.join(failed)}.")
    text += [f"Left out: {found['part']} ({found['why']})." for found in of_kind(findings, "left out")]
    text += [f"The wheel is {found['bytes'] / 1e6:.2f} MB." for found in of_kind(findings, "wheel")]
    text.append(
        f"Medians of {data['settings']['rounds']} interleaved rounds; ratio: time of the best peer by pyrnn's; "
        "limit: what the measured peak and cache bandwidth allow, without the fixed cost of a call."
    )
    return " ".join(text)


def folded(title: str, text: str) -> str:
    return f"<details>\n<summary>{title}</summary>\n\n{text}\n\n</details>"


def insert(text: str, generated: str) -> str:
    """text with what stands between its markers replaced; ValueError where it does not have them once each."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"expected the lines {BEGIN} and {END}, once each and in this order")
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{generated}\n\n{END}{rest.partition(END)[2]}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", help="what compare.py --json wrote")
    parser.add_argument("--readme", default=str(README), metavar="FILE", help="a Markdown file with the markers")
    parser.add_argument("--print", action="store_true", help="print the tables, change no file")
    options = parser.parse_args(arguments)
    generated = report(json.loads(Path(options.results).read_text()))
    if options.print:
        print(generated)
        return 0
    readme = Path(options.readme)
    try:
        readme.write_text(insert(readme.read_text(), generated))
    except ValueError as error:
        print(f"{readme}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
