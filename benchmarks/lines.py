"""Findings of compare.py as lines for a terminal."""

from __future__ import annotations

from collections.abc import Callable

from figures import Finding, describe, gflops, median_us, number, threads_of


def line_of(finding: Finding) -> str:
    return LINES[finding["kind"]](finding)


def place_of(finding: Finding) -> str:
    mode = f"{finding['mode']:9} " if "mode" in finding else ""
    return f"{mode}{finding['cell']:8} {finding['shape'][0]:13} {threads_of(finding):9}"


def times_of(finding: Finding) -> str:
    return ", ".join(f"{name} {number(median_us(finding, name))}" for name in finding["times"])


def point_line(point: Finding) -> str:
    best = point["times"]["pyrnn"]["best_us"]
    ratio = f"{point['ratio']:5.2f} x {point['best_peer']}" if point["best_peer"] else "no peer"
    peers = ", ".join(f"{name} {number(median_us(point, name))}" for name in point["times"] if name != "pyrnn")
    return (
        f"{place_of(point)} {number(median_us(point)):>7} us (best {number(best)}) {gflops(point):4.0f} GF/s  "
        f"{ratio:20} {point['fraction']:4.2f} of the limit by {point['bound_by']}, {number(point['limit_us'])} us; "
        f"fixed {number(point['fixed_us'])} us; {peers or 'no peers'}{notes(point)}"
    )


def threads_line(found: Finding) -> str:
    return f"threads   {place_of(found)} {found['speed_up']:.2f} x one thread; us: {times_of(found)}{notes(found)}"


def ragged_line(found: Finding) -> str:
    shares = f"{found['ragged_share']:.3f} of the padded time, all equal {found['equal_share']:.3f}"
    return f"ragged    {place_of(found)} {shares}; us: {times_of(found)}{notes(found)}"


def segments_line(found: Finding) -> str:
    ratios = f"{found['time_ratio']:.2f} x the time, {found['memory_share']:.3f} of the memory of the full tape"
    return f"segments  {place_of(found)} {ratios}; us: {times_of(found)}{notes(found)}"


def bf16_line(found: Finding) -> str:
    peer = f", {found['ratio']:.2f} x torch" if found["ratio"] else ""
    return f"bf16      {place_of(found)} {found['gain']:.2f} x float32{peer}; us: {times_of(found)}{notes(found)}"


def stream_line(stream: Finding) -> str:
    times = ", ".join(f"{n} {number(t['median_us'])} / {number(t['p99_us'])}" for n, t in stream["times"].items())
    return f"stream    {place_of(stream)} median / 99 % of a step in us: {times}{notes(stream)}"


def step_line(step: Finding) -> str:
    values = ", ".join(f"{name} {number(value)}" for name, value in step["value"].items())
    return f"step      {step['name']:22} {threads_of(step):9} {step['unit']}: {values}{notes(step)}"


def memory_line(memory: Finding) -> str:
    values = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in memory["bytes"].items())
    return f"memory    {place_of(memory)} MB more in training: {values}{notes(memory)}"


def versions_line(found: Finding) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"versions  {versions}; kernels {found['engine']['isa']}"


def notes(finding: Finding) -> str:
    """What is wrong with a result, and whose call failed."""
    failed = [f"  FAILED, {name}: {why}" for name, why in finding.get("failed", {}).items()]
    wrong = [f"{name}: {shares}" for name, shares in finding.get("wrong", {}).items()]
    return "".join(failed) + (f"  WRONG, times the bound: {'; '.join(wrong)}" if wrong else "")


LINES: dict[str, Callable[[Finding], str]] = {
    "point": point_line,
    "isa": lambda f: f"{f['isa']:9} {point_line(f)}",
    "threads": threads_line,
    "ragged": ragged_line,
    "segments": segments_line,
    "bf16": bf16_line,
    "stream": stream_line,
    "step": step_line,
    "memory": memory_line,
    "versions": versions_line,
    "missing": lambda f: f'missing   {f["peer"]}: {f["why"]} (pip install ".[bench]" brings the peers)',
    "left out": lambda f: f"left out  {f['part']}: {f['why']}",
    "roofline": lambda f: f"roofline  {f['isa']}, {threads_of(f)}: {describe(f)}",
    "import": lambda f: f"import    ms: {', '.join(f'{n} {number(ms)}' for n, ms in f['milliseconds'].items())}",
    "wheel": lambda f: f"wheel     {f['name']}: {f['bytes'] / 1e6:.2f} MB",
}
