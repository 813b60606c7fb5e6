"""benchmarks/compare.py from end to end: it finds a wrong result, names who is missing or fails, leaves nothing out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import compare
import footprint
import pytest
import report
from figures import of_kind
from helpers.engine import TABLES
from shapes import SHAPES, Shape

import pyrnn

SMALL = Shape("3x2x5x7", 3, 2, 5, 7)
STACK = Shape("4x2x5x6x2", 4, 2, 5, 6, 2)
Compare = Callable[..., tuple[int, str, dict[str, Any]]]


@pytest.fixture
def run_compare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Compare:
    """Runs compare.py with these arguments. Returns its status, what it printed, and its JSON."""
    monkeypatch.setenv("PYTHONPATH", f"{Path(pyrnn.__file__).parents[1]}:{tmp_path}")

    def run(*arguments: str) -> tuple[int, str, dict[str, Any]]:
        file = tmp_path / "results.json"
        status = compare.main([*arguments, "--rounds", "1", "--json", str(file)])
        captured = capsys.readouterr()
        assert captured.err == ""
        return status, captured.out, json.loads(file.read_text())

    return run


def peer_module(folder: Path, name: str, change: str) -> None:
    """A peer that is pyrnn itself, but for a change of its results."""
    (folder / f"{name}.py").write_text(f"""
import ours

def version():
    return "7"

def changed(run):
    def results(value):
        found = {{what: array.copy() for what, array in run.results(value).items()}}
        {change}
        return found
    return run._replace(results=results)

def inference(problem):
    return changed(ours.inference(problem))

def training(problem):
    return changed(ours.training(problem))
""")
    package = folder / "witness"
    package.mkdir(exist_ok=True)
    (folder / f"{name}.py").rename(package / f"{name}.py")


# ---- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "0"], "argument --threads: expected numbers from 1 to "),
        (["--threads", "two"], "argument --threads: expected numbers from 1 to "),
        (["--threads", "100000"], "argument --threads: expected numbers from 1 to "),
        (["--cells", "lstm,cnn"], "argument --cells: expected some of lstm,gru,rnn_tanh,rnn_relu, got 'lstm,cnn'"),
        (["--shapes", "huge"], "argument --shapes: expected one of stream-128, "),
        (["--shapes", "3x0x5x7"], "or sizes such as 20x8x16x32, got '3x0x5x7'"),
        (["--shapes", "3x2x5x7", "--off"], "--off: expected --shapes by name"),
        (["--train", "--infer"], "argument --infer: not allowed with argument --train"),
        (["--parts", "grid,all"], "argument --parts: expected some of grid,streaming,steps,bf16,threads,"),
        (["--rounds", "0"], "argument --rounds: expected a number of at least 1, got '0'"),
        (["--wheel", "nowhere.whl"], "--wheel: expected a file, got nowhere.whl"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_bad_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        compare.main(arguments)
    assert error.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_defaults_are_the_whole_grid() -> None:
    options = compare.parse([])
    assert options.shapes == list(SHAPES)
    assert options.cells == ["lstm", "gru", "rnn_tanh"]
    assert options.modes == ["inference", "training"]
    assert options.peers == ["torch", "onnxruntime", "openvino", "jax"]
    assert (options.rounds, options.threads) == (9, [1])


def test_sizes_ten_percent_off() -> None:
    """H = 113, 281, 461 for 128, 256, 512, and what divides by nothing for the others."""
    off = compare.parse(["--off"]).shapes
    changed = {before.units: after.units for before, after in zip(SHAPES, off, strict=True)}
    assert (changed[128], changed[256], changed[512]) == (113, 281, 461)
    for before, after in changed.items():
        assert 0.08 < abs(after / before - 1) < 0.12
        assert all(after % divisor for divisor in range(2, after))


# ---- compare.py from end to end


def test_without_a_peer(run_compare: Compare) -> None:
    wanted = ["--shapes", f"{SMALL.name},{STACK.name},1x1x5x7", "--cells", "lstm,gru", "--parts", "grid,streaming"]
    status, out, data = run_compare("--peers", "", *wanted)
    assert status == 0
    points = of_kind(data["findings"], "point")
    names = {(p["mode"], p["cell"], p["shape"][0]) for p in points}
    assert len(names) == len(points) == 2 * 2 * 3
    for point in points:
        assert point["times"]["pyrnn"]["best_us"] <= point["times"]["pyrnn"]["median_us"]
        assert point["limit_us"] > 0 and point["fixed_us"] > 0 and point["fraction"] > 0
        assert (point["best_peer"], point["ratio"]) == (None, None)
    streams = of_kind(data["findings"], "stream")
    assert {s["shape"][0] for s in streams} == {"1 unit", "1x1x5x7"}
    assert all(0 < s["times"]["pyrnn"]["median_us"] <= s["times"]["pyrnn"]["p99_us"] for s in streams)
    assert "peak" in out and "of the limit" in out and "median / 99 %" in out
    (versions,) = of_kind(data["findings"], "versions")
    assert versions["versions"] == {"pyrnn": pyrnn.__version__}
    assert versions["engine"]["threads"] == versions["engine"]["usable_cpus"] == 1


def test_a_right_peer_is_a_peer(run_compare: Compare, tmp_path: Path) -> None:
    peer_module(tmp_path, "honest", "pass")
    status, out, data = run_compare("--peers", "witness.honest", "--shapes", SMALL.name, "--parts", "grid")
    assert status == 0
    points = of_kind(data["findings"], "point")
    assert {p["best_peer"] for p in points} == {"witness.honest"}
    assert all(0.05 < p["ratio"] < 20 and p["errors"] == {"witness.honest": 0.0} for p in points)
    assert "WRONG" not in out


@pytest.mark.parametrize(
    ("change", "mode", "results"),
    [
        ("found['y'] = found['y'] + 1e-3", "--infer", {"y"}),
        ("found['db[0]'] = -found['db[0]']", "--train", {"db[0]"}),
        ("found['dx'][0, 0, 0] = float('nan')", "--train", {"dx"}),
    ],
    ids=["offset", "sign", "nan"],
)
def test_a_wrong_peer_is_found(run_compare: Compare, tmp_path: Path, change: str, mode: str, results: set[str]) -> None:
    peer_module(tmp_path, "liar", change)
    status, out, data = run_compare(
        "--peers", "witness.liar", "--shapes", SMALL.name, "--cells", "lstm", "--parts", "grid", mode
    )
    assert status == 1
    (point,) = of_kind(data["findings"], "point")
    assert set(point["wrong"]["witness.liar"]) == results
    assert "WRONG" in out and "1 results are wrong" in out


def test_missing_peers_are_named(run_compare: Compare) -> None:
    wanted = ["--shapes", SMALL.name, "--cells", "gru", "--parts", "grid", "--infer"]
    status, out, data = run_compare("--peers", "no.such,nothing", *wanted)
    assert status == 0
    assert [finding["peer"] for finding in of_kind(data["findings"], "missing")] == ["no.such", "nothing"]
    assert 'not compared with no.such, nothing: not installed (pip install ".[bench]")' in out


@pytest.mark.parametrize(
    ("change", "why"),
    [("raise OSError('out of order')", "OSError: out of order"), ("os.sched_setaffinity(0, [min(cpus)])", "CPUs")],
    ids=["raises", "moves"],
)
def test_a_peer_that_fails_is_named(run_compare: Compare, tmp_path: Path, change: str, why: str) -> None:
    """The others are measured all the same."""
    if "cpus" in change:
        if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
            pytest.skip("needs two CPUs to move between")
        change = f"import os; cpus = os.sched_getaffinity(0); {change}"
    peer_module(tmp_path, "broken", change)
    peer_module(tmp_path, "sound", "pass")
    wanted = ["--threads", "2" if "cpus" in change else "1", "--shapes", SMALL.name, "--cells", "gru", "--infer"]
    status, out, data = run_compare("--peers", "witness.broken,witness.sound", *wanted, "--parts", "grid")
    assert status == 0
    (point,) = of_kind(data["findings"], "point")
    assert set(point["times"]) == {"pyrnn", "witness.sound"}
    assert list(point["failed"]) == ["witness.broken"] and why in point["failed"]["witness.broken"]
    assert "1 calls of peers failed" in out
    assert "Failed at some points, which name them: witness.broken" in report.report(data)
    assert "| witness.sound; witness.broken failed |" in report.report(data)


def test_a_peer_may_fail_late(run_compare: Compare, tmp_path: Path) -> None:
    """Its first calls are right, the next one is not: found while it is timed."""
    peer_module(tmp_path, "tired", "pass")
    module = tmp_path / "witness" / "tired.py"
    module.write_text(
        module.read_text()
        + """
whole = inference

def inference(problem):
    run, calls = whole(problem), iter(range(3))
    return run._replace(call=lambda: (next(calls), run.call())[1])
"""
    )
    wanted = ["--shapes", SMALL.name, "--cells", "gru", "--parts", "grid", "--infer"]
    status, _, data = run_compare("--peers", "witness.tired", *wanted)
    assert status == 0
    (point,) = of_kind(data["findings"], "point")
    assert (point["best_peer"], list(point["failed"])) == (None, ["witness.tired"])
    assert point["times"]["pyrnn"]["median_us"] > 0


def test_a_process_that_dies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the other processes measure is kept."""
    peer_module(tmp_path, "deadly", "import os; os._exit(3)")
    monkeypatch.setenv("PYTHONPATH", f"{Path(pyrnn.__file__).parents[1]}:{tmp_path}")
    monkeypatch.setattr(footprint, "installed", lambda module: False)
    file = tmp_path / "results.json"
    wanted = ["--shapes", SMALL.name, "--cells", "gru", "--parts", "grid,import", "--rounds", "1", "--json", str(file)]
    assert compare.main(["--peers", "witness.deadly", *wanted]) == 2
    assert "the process for peers with 1 threads ended with status 3" in capfd.readouterr().err
    assert of_kind(json.loads(file.read_text())["findings"], "import")


def test_against_torch(run_compare: Compare) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed; it is a peer, not a dependency")
    status, out, data = run_compare("--peers", "torch", "--shapes", f"{SMALL.name},{STACK.name}", "--parts", "grid")
    assert status == 0, out
    points = of_kind(data["findings"], "point")
    assert len(points) == 12
    assert all(0 < point["errors"]["torch"] < 1 and point["ratio"] > 0 for point in points)


@pytest.mark.parametrize(("name", "library"), [("onnxruntime", "onnx"), ("openvino", "onnx"), ("jax", "jax")])
def test_against_the_others(run_compare: Compare, name: str, library: str) -> None:
    for module in (name, library):
        if not footprint.installed(module):
            pytest.skip(f"{module} is not installed; it is a peer, not a dependency")
    status, out, data = run_compare("--peers", name, "--shapes", STACK.name, "--parts", "grid")
    assert status == 0, out
    points = [point for point in of_kind(data["findings"], "point") if point["best_peer"] == name]
    assert len(points) == (6 if name == "jax" else 3)  # the other two cannot train
    assert all(0 <= point["errors"][name] < 1 for point in points)


def test_pyrnn_against_itself(run_compare: Compare) -> None:
    """All parts without a peer, whose lines and goals say what was measured."""
    wanted = ["--threads", "1,2", "--shapes", "6x3x5x9", "--cells", "gru", "--parts", "threads,ragged"]
    status, out, data = run_compare(*wanted)
    assert status == 0
    assert [found["mode"] for found in of_kind(data["findings"], "threads")] == ["inference", "training"]
    assert [found["threads"] for found in of_kind(data["findings"], "ragged")] == [1, 2]
    assert {line["goal"] for line in data["goals"]} == {"4", "ragged"}
    assert "x one thread" in out and "of the padded time" in out and "goals: 4 " in out
    assert "speed-up over one thread" in report.report(data)


def test_avx2_against_its_own_limit(run_compare: Compare) -> None:
    status, out, data = run_compare("--shapes", "6x64x5x9,6x1x5x9", "--cells", "lstm", "--parts", "isa")
    assert status == 0
    if "avx2" in TABLES:
        assert {found["shape"][0] for found in of_kind(data["findings"], "isa")} <= {"6x64x5x9", "6x1x5x9"}
        assert [found["isa"] for found in of_kind(data["findings"], "roofline")] == ["avx2"]
    else:
        assert "left out  isa avx2: PYRNN_ISA: expected one of " in out


def test_what_one_thread_cannot_tell_is_left_out(run_compare: Compare) -> None:
    status, out, data = run_compare("--shapes", SMALL.name, "--cells", "gru", "--parts", "threads")
    assert status == 0
    assert "left out  threads: --threads names no more than one" in out
    assert "Left out: threads" in report.report(data)


def test_report_and_command_line_need_no_engine() -> None:
    """They must run where pyrnn is not installed: only the processes that measure import it."""
    code = "import sys; import compare, report; sys.exit('pyrnn' in sys.modules or 'numpy' in sys.modules)"
    folder = str(Path(compare.__file__).parent)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)
