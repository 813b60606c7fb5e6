"""benchmarks/report.py, tables.py and goals.py: means, worst points and verdicts, and no point left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import goals
import pytest
import report
import tables


def point(mode: str, cell: str, name: str, threads: int, us: float, peer_us: float | None) -> dict[str, Any]:
    times = {"pyrnn": {"median_us": us, "best_us": us}}
    if peer_us is not None:
        times["torch"] = {"median_us": peer_us, "best_us": peer_us}
    return {
        "kind": "point",
        "mode": mode,
        "cell": cell,
        "shape": [name, 1, 1, 1, 1, 1],
        "threads": threads,
        "gflop": 0.001,
        "times": times,
        "best_peer": None if peer_us is None else "torch",
        "ratio": None if peer_us is None else peer_us / us,
        "limit_us": us / 2,
        "bound_by": "loads",
        "fixed_us": 0.1,
        "fraction": 0.5,
        "errors": {},
        "wrong": {},
        "failed": {},
    }


def in_threads(cell: str, name: str, one_us: float, two_us: float, bound_by: str) -> dict[str, Any]:
    times = {"1": {"median_us": one_us}, "2": {"median_us": two_us}}
    return {"kind": "threads", "mode": "inference", "cell": cell, "shape": [name, 1, 1, 1, 1, 1], "threads": 2,
            "times": times, "speed_up": one_us / two_us, "bound_by": bound_by, "wrong": {}}  # fmt: skip


def results() -> dict[str, Any]:
    findings = [
        {"kind": "versions", "versions": {"pyrnn": "1.2"}, "engine": {"isa": "avx2", "compiler": "GNU 1"}},
        {"kind": "missing", "peer": "jax", "why": "No module"},
        {"kind": "wheel", "name": "pyrnn.whl", "bytes": 1_500_000},
        point("inference", "lstm", "tiny", 1, 100.0, 200.0),
        point("inference", "lstm", "asr", 1, 100.0, 800.0),
        point("inference", "lstm", "tiny", 2, 80.0, 200.0),
        point("training", "gru", "tiny", 1, 1234.5, None),
        in_threads("lstm", "tiny", 100.0, 80.0, "loads"),
    ]
    machine = {"cpu": "Abacus", "cpus": 2, "caches": ["L1 1K"], "system": "s", "python": "3.12"}
    return {"machine": machine, "settings": {"rounds": 9, "off": False}, "findings": findings,
            "goals": goals.goals(findings)}  # fmt: skip


def test_summary_gives_means_and_the_worst_by_name() -> None:
    _, rows = tables.summary(results()["findings"])
    assert rows[0] == ["inference", "1", "lstm", "4.00", "2 of 2", "2.00 lstm tiny", "0.50", "0.50 lstm tiny"]
    assert rows[-1][:6] == ["training", "1", "gru", "-", "-", "-"]
    _, rows = tables.scaling(results()["findings"])
    assert rows == [["inference", "2", "1.25", "1.25 lstm tiny", "1.25 lstm tiny"]]
    head, rows = tables.peer_means(results()["findings"])
    assert [head[-1], rows[0]] == ["torch", ["inference", "1", "4.00"]]


def test_a_goal_names_mean_worst_point_and_verdict() -> None:
    values = [("a", 4.0), ("b", 1.0)]
    (met,) = goals.line("1", "ratio", values, each=1.0, mean=2.0, ahead=0.5)
    assert (met["mean"], met["worst"], met["worst_name"], met["met"]) == (2.0, 1.0, "b", True)
    assert met["wanted"] == "each >= 1.0, mean >= 2.0, ahead at 50%"
    for bound in ({"each": 1.1}, {"mean": 2.1}, {"ahead": 0.6}):
        (missed,) = goals.line("1", "ratio", values, **bound)
        assert not missed["met"]
    (time,) = goals.line("4", "time", values, each=4.0, at_most=True)
    assert (time["worst_name"], time["wanted"], time["met"]) == ("a", "each <= 4.0", True)
    (time,) = goals.line("4", "time", values, each=3.9, at_most=True)
    assert not time["met"]
    assert list(goals.line("1", "ratio", [], each=1.0)) == []


def test_goals_of_findings() -> None:
    lines = {line["what"]: line for line in goals.goals(results()["findings"])}
    ratio = lines["inference, 1 thread, lstm: ratio to the best peer"]
    assert (ratio["mean"], ratio["worst"], ratio["worst_name"]) == (pytest.approx(4.0), 2.0, "lstm tiny")
    assert ratio["wanted"] == "each >= 0.97, mean >= 1.4"
    assert not lines["inference, 1 thread: fraction of the limit, elsewhere"]["met"]
    assert lines["inference: time with 2 threads over one's"]["worst"] == pytest.approx(0.8)
    assert lines["wheel, MB"]["met"]
    assert goals.verdicts(lines.values()) == {"1": True, "3": False, "4": True, "6": True}


@pytest.mark.parametrize(
    ("finding", "goal", "met"),
    [
        ({"kind": "step", "name": "addition", "unit": "s an epoch", "value": {"pyrnn": 1.0, "torch": 3.1}}, "5", True),
        ({"kind": "step", "name": "addition", "unit": "s an epoch", "value": {"pyrnn": 1.0, "torch": 2.9}}, "5", False),
        ({"kind": "step", "name": "char-rnn", "unit": "a second", "value": {"pyrnn": 14, "torch": 10}}, "5", True),
        ({"kind": "import", "milliseconds": {"pyrnn": 61.0}}, "6", False),
        ({"kind": "memory", "bytes": {"pyrnn": 0, "torch": 10_000}}, "6", True),
        ({"kind": "memory", "bytes": {"pyrnn": 10_001, "torch": 10_000}}, "6", False),
        ({"kind": "ragged", "ragged_share": 0.61, "equal_share": 1.03}, "ragged", False),
        ({"kind": "segments", "time_ratio": 1.3, "memory_share": 0.05}, "segments", True),
        ({"kind": "segments", "time_ratio": 1.3, "memory_share": 0.07}, "segments", False),
        ({"kind": "isa", "isa": "avx2", "mode": "training", "fraction": 0.81}, "avx2", True),
    ],
)
def test_each_goal_can_be_met_and_missed(finding: dict[str, Any], goal: str, met: bool) -> None:
    place = {"cell": "gru", "shape": ["tiny", 1, 1, 1, 1, 1], "threads": 1}
    assert goals.verdicts(goals.goals([place | finding])) == {goal: met}


def test_report_replaces_what_is_between_the_markers(tmp_path: Path) -> None:
    file, readme = tmp_path / "results.json", tmp_path / "README.md"
    file.write_text(json.dumps(results()))
    readme.write_text(f"# Title\n\n{report.BEGIN}\nold figures\n{report.END}\n\nThe end.\n")
    assert report.main([str(file), "--readme", str(readme)]) == 0
    text = readme.read_text()
    assert text.startswith(f"# Title\n\n{report.BEGIN}\n") and text.endswith(f"{report.END}\n\nThe end.\n")
    assert "old figures" not in text
    for part in ("Abacus", "pyrnn 1.2", "avx2", "Not installed: jax", "1.50 MB", "Medians of 9"):
        assert part in text
    assert report.main([str(file), "--readme", str(readme)]) == 0
    assert readme.read_text() == text


def test_report_leaves_no_point_out() -> None:
    text = report.report(results())
    assert "| tiny | lstm | 100 | 10 | torch | 2.00 | 0.50 | 80.0 | 12 | torch | 2.50 | 0.50 |" in text
    assert "| asr | lstm | 100 | 10 | torch | 8.00 | 0.50 | - | - | - | - | - |" in text
    assert "| tiny | gru | 1234 | 1 | - | - | 0.50 |" in text


def test_report_needs_the_markers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, readme = tmp_path / "results.json", tmp_path / "README.md"
    file.write_text(json.dumps(results()))
    readme.write_text(f"# Title\n{report.BEGIN}\n")
    assert report.main([str(file), "--readme", str(readme)]) == 1
    assert "once each and in this order" in capsys.readouterr().err
    assert readme.read_text() == f"# Title\n{report.BEGIN}\n"
