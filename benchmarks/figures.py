"""Findings of compare.py: how to pick them, and the figures that tables, lines and goals make of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

Finding = dict[str, Any]


def of_kind(findings: Iterable[Finding], kind: str) -> list[Finding]:
    return [finding for finding in findings if finding["kind"] == kind]


def groups(findings: Iterable[Finding], *keys: str) -> dict[tuple[Any, ...], list[Finding]]:
    found: dict[tuple[Any, ...], list[Finding]] = {}
    for finding in findings:
        found.setdefault(tuple(finding[key] for key in keys), []).append(finding)
    return found


def name_of(point: Finding) -> str:
    return f"{point['cell']} {point['shape'][0]}"


def threads_of(finding: Finding) -> str:
    return f"{finding['threads']} thread{'' if finding['threads'] == 1 else 's'}"


def median_us(finding: Finding, name: str = "pyrnn") -> float:
    return float(finding["times"][name]["median_us"])


def peer_ratio(point: Finding, peer: str) -> float:
    return median_us(point, peer) / median_us(point)


def gflops(point: Finding) -> float:
    return float(point["gflop"] / median_us(point) * 1e6)


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(math.fsum(logs) / len(logs))


def number(value: float) -> str:
    """Three digits, or all before the point."""
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return format(value, f".{digits}f")


def describe(facts: Finding) -> str:
    """A roofline."""
    loads = ", ".join(f"{level} {facts[f'{level}_gb_s']:.0f}" for level in ("L1", "L2", "L3", "memory"))
    rates = f"sigmoid {facts['sigmoid_g_s']:.1f} and tanh {facts['tanh_g_s']:.1f} G/s"
    return f"peak {facts['peak_gflops']:.0f} GF/s; loads {loads} GB/s; {rates}"
