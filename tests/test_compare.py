"""benchmarks/compare.py and report.py: they measure what they say, find a wrong result, and leave nothing out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import compare
import footprint
import numpy as np
import ours
import pytest
import report
import roofline
import tables
import timing
import whole_steps
from problem import Problem, check, error_share
from shapes import SHAPES, Shape

import pyrnn
from pyrnn import _engine

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
        (["--parts", "grid,all"], "argument --parts: expected some of grid,streaming,steps,import,memory"),
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


# ---- the bound


def test_the_bound_is_about_rounding_errors() -> None:
    """Sums of n terms in another order are inside, a relative error of a thousandth is outside."""
    rng = np.random.default_rng(1)
    for n in (10, 1000):
        terms = rng.standard_normal((n, 500)).astype(np.float32)
        expected = terms.sum(axis=0)
        backwards = np.add.accumulate(terms[::-1])[-1]
        assert error_share(backwards, expected, n) < 0.5
        assert error_share(expected * np.float32(1.001), expected, n) > 1
    assert error_share(np.full(3, np.nan, np.float32), np.ones(3, np.float32), 10) == np.inf
    assert error_share(np.zeros(3, np.float32), np.zeros(3, np.float32), 10) == 0
    assert error_share(np.ones(3, np.float32), np.zeros(3, np.float32), 10) == np.inf


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_each_single_result_is_checked(cell: str) -> None:
    problem = Problem(cell, STACK, threads=1)
    run = ours.training(problem)
    expected = {what: array.copy() for what, array in run.results(run.call()).items()}
    parameters = {f"{what}[{i}]" for what in ("dW_x", "dW_h", "db") for i in range(2)}
    states = {f"dstate[{i}][{j}]" for i in range(2) for j in range(2 if cell == "lstm" else 1)}
    assert set(expected) == {"y", "dx", *parameters, *states}
    assert set(check(run.results(run.call()), expected, problem).values()) == {0.0}
    for what in expected:
        largest = np.abs(expected[what]).max()
        wrong = {**expected, what: expected[what] + np.float32(0.01) * largest}
        shares = check(expected, wrong, problem)
        assert [name for name, share in shares.items() if share > 1] == [what]


# ---- compare.py from end to end


def test_without_a_peer(run_compare: Compare) -> None:
    wanted = ["--shapes", f"{SMALL.name},{STACK.name},1x1x5x7", "--cells", "lstm,gru", "--parts", "grid,streaming"]
    status, out, data = run_compare("--peers", "", *wanted)
    assert status == 0
    points = tables.of_kind(data["findings"], "point")
    names = {(p["mode"], p["cell"], p["shape"][0]) for p in points}
    assert len(names) == len(points) == 2 * 2 * 3
    for point in points:
        assert point["times"]["pyrnn"]["best_us"] <= point["times"]["pyrnn"]["median_us"]
        assert point["limit_us"] > 0 and point["fixed_us"] > 0 and point["fraction"] > 0
        assert (point["best_peer"], point["ratio"]) == (None, None)
    streams = tables.of_kind(data["findings"], "stream")
    assert {s["shape"][0] for s in streams} == {"1 unit", "1x1x5x7"}
    assert all(0 < s["times"]["pyrnn"]["median_us"] <= s["times"]["pyrnn"]["p99_us"] for s in streams)
    assert "peak" in out and "of the limit" in out and "median / 99 %" in out
    (versions,) = tables.of_kind(data["findings"], "versions")
    assert versions["versions"] == {"pyrnn": pyrnn.__version__}
    assert versions["engine"]["threads"] == versions["engine"]["usable_cpus"] == 1


def test_a_right_peer_is_a_peer(run_compare: Compare, tmp_path: Path) -> None:
    peer_module(tmp_path, "honest", "pass")
    status, out, data = run_compare("--peers", "witness.honest", "--shapes", SMALL.name, "--parts", "grid")
    assert status == 0
    points = tables.of_kind(data["findings"], "point")
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
    (point,) = tables.of_kind(data["findings"], "point")
    assert set(point["wrong"]["witness.liar"]) == results
    assert "WRONG" in out and "1 results are wrong" in out


def test_missing_peers_are_named(run_compare: Compare) -> None:
    wanted = ["--shapes", SMALL.name, "--cells", "gru", "--parts", "grid", "--infer"]
    status, out, data = run_compare("--peers", "no.such,nothing", *wanted)
    assert status == 0
    assert [finding["peer"] for finding in tables.of_kind(data["findings"], "missing")] == ["no.such", "nothing"]
    assert 'not compared with no.such, nothing: not installed (pip install ".[bench]")' in out


def test_a_process_that_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    peer_module(tmp_path, "broken", "raise OSError('out of order')")
    monkeypatch.setenv("PYTHONPATH", f"{Path(pyrnn.__file__).parents[1]}:{tmp_path}")
    wanted = ["--shapes", SMALL.name, "--cells", "gru", "--parts", "grid", "--rounds", "1"]
    assert compare.main(["--peers", "witness.broken", *wanted]) == 2
    error = capfd.readouterr().err
    assert "out of order" in error
    assert "the process with 1 threads ended with status 1" in error


def test_against_torch(run_compare: Compare) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed; it is a peer, not a dependency")
    status, out, data = run_compare("--peers", "torch", "--shapes", f"{SMALL.name},{STACK.name}", "--parts", "grid")
    assert status == 0, out
    points = tables.of_kind(data["findings"], "point")
    assert len(points) == 12
    assert all(0 < point["errors"]["torch"] < 1 and point["ratio"] > 0 for point in points)


@pytest.mark.parametrize(("name", "library"), [("onnxruntime", "onnx"), ("openvino", "onnx"), ("jax", "jax")])
def test_against_the_others(run_compare: Compare, name: str, library: str) -> None:
    for module in (name, library):
        if not footprint.installed(module):
            pytest.skip(f"{module} is not installed; it is a peer, not a dependency")
    status, out, data = run_compare("--peers", name, "--shapes", STACK.name, "--parts", "grid")
    assert status == 0, out
    points = [point for point in tables.of_kind(data["findings"], "point") if point["best_peer"] == name]
    assert len(points) == (6 if name == "jax" else 3)  # the other two cannot train
    assert all(0 <= point["errors"][name] < 1 for point in points)


# ---- its parts


def test_contestants_take_turns() -> None:
    order: list[str] = []
    calls = {name: (lambda name=name: order.append(name)) for name in "abc"}
    times = timing.in_turn(calls, 3)
    assert list(times) == ["a", "b", "c"]
    assert all(0 < t.best_us <= t.median_us for t in times.values())
    turns = [name for i, name in enumerate(order) if i == 0 or order[i - 1] != name]
    assert "".join(turns).endswith("abcbcacab")


@pytest.mark.parametrize("what", ["fma", "load", "sigmoid", "tanh"])
def test_probe(isa: str, what: str) -> None:
    assert 1e7 < _engine._probe(what, 4096, 1.0, isa) < 1e14


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sqrt",), "what: expected fma, load, sigmoid or tanh, got 'sqrt'"),
        (("load", 0), "bytes: expected at least 1, got 0"),
        (("fma", 0, 0.0), "milliseconds: expected more than 0 and at most 1000"),
        (("fma", 0, 1.0, "mmx"), "isa: expected one of "),
    ],
)
def test_bad_probes(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _engine._probe(*arguments)


def test_the_limit_is_the_slower_of_compute_and_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """256 GF/s and 64 GB/s: a batch of 1 waits for its weights, one of 64 for the FMAs."""
    rates = {"fma": 256e9, "load": 64e9, "sigmoid": 4e9, "tanh": 4e9}
    monkeypatch.setattr(roofline.Roofline, "_rate", lambda self, what, total_bytes=0: rates[what])
    roof = roofline.Roofline(1)
    alone = roof.limit("rnn_tanh", 1, Shape("", 100, 1, 256, 256), training=False)
    assert alone.bound == "loads"
    assert alone.seconds == pytest.approx((100 + 1) * 4 * 256 * 256 / 64e9 + 100 * 256 / 4e9)
    batch = roof.limit("lstm", 4, Shape("", 100, 64, 256, 256), training=True)
    assert batch.bound == "compute"
    flops = 3 * 2 * 100 * 64 * 4 * 256 * 512
    assert batch.seconds == pytest.approx(flops / 256e9 + 5 * 100 * 64 * 256 / 4e9)


def test_threads_are_probed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    probed: list[tuple[str, int]] = []
    monkeypatch.setattr(roofline, "PROBES", 1)
    monkeypatch.setattr(_engine, "_probe", lambda what, size, ms: probed.append((what, size)) or 1e9)
    assert roofline.Roofline(3).rate("load", 3000) == 3e9
    assert probed == [("load", 1000)] * 3


@pytest.mark.parametrize("name", list(whole_steps.STEPS))
def test_whole_steps(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With PyTorch where it is installed; the losses of the first two batches are compared."""
    monkeypatch.setattr(whole_steps, "UNITS", 24)
    monkeypatch.setattr(whole_steps, "T", 6)
    monkeypatch.setattr(whole_steps, "SUMS", 128)
    with_torch = footprint.installed("torch")
    finding = whole_steps.STEPS[name](1, with_torch, 1)
    assert finding["wrong"] == {}
    assert set(finding["value"]) == ({"pyrnn", "torch"} if with_torch else {"pyrnn"})
    assert min(finding["value"].values()) > 0


def test_losses_that_differ_are_wrong() -> None:
    assert whole_steps.differing([1.0, 2.0], {"peer": [1.0, 2.00001]}) == {}
    assert list(whole_steps.differing([1.0, 2.0], {"peer": [1.0, 2.01]})["peer"]) == ["loss[0]", "loss[1]"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc/self/clear_refs")
def test_memory_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tape of 4 MB is seen, and a process that holds next to nothing does not look large."""
    monkeypatch.setenv("PYTHONPATH", str(Path(pyrnn.__file__).parents[1]))
    large = footprint.memory("rnn_tanh", Shape("", 1000, 8, 16, 128), 1, with_torch=False)
    small = footprint.memory("rnn_tanh", SMALL, 1, with_torch=False)
    assert 4e6 < large["bytes"]["pyrnn"] < 40e6
    assert small["bytes"]["pyrnn"] < 4e6


def test_import_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "installed", lambda module: False)
    monkeypatch.setenv("PYTHONPATH", str(Path(pyrnn.__file__).parents[1]))
    assert 0 < footprint.imports(1)["milliseconds"]["pyrnn"] < 5000


# ---- report.py


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
    }


def results() -> dict[str, Any]:
    findings = [
        {"kind": "versions", "versions": {"pyrnn": "1.2"}, "engine": {"isa": "avx2", "compiler": "GNU 1"}},
        {"kind": "missing", "peer": "jax", "why": "No module"},
        {"kind": "wheel", "name": "pyrnn.whl", "bytes": 1_500_000},
        point("inference", "lstm", "tiny", 1, 100.0, 200.0),
        point("inference", "lstm", "asr", 1, 100.0, 800.0),
        point("inference", "lstm", "tiny", 2, 80.0, 200.0),
        point("training", "gru", "tiny", 1, 1234.5, None),
    ]
    machine = {"cpu": "Abacus", "cpus": 2, "caches": ["L1 1K"], "system": "s", "python": "3.12"}
    return {"machine": machine, "settings": {"rounds": 9, "off": False}, "findings": findings}


def test_summary_gives_means_and_the_worst_by_name() -> None:
    _, rows = tables.summary(results()["findings"])
    assert rows[0] == ["inference", "1", "lstm", "4.00", "2 of 2", "2.00 lstm tiny", "0.50", "0.50 lstm tiny"]
    assert rows[-1][:6] == ["training", "1", "gru", "-", "-", "-"]
    _, rows = tables.scaling(results()["findings"])
    assert rows == [["inference", "2", "1.25", "1.25 lstm tiny", "1.25 lstm tiny"]]
    head, rows = tables.peer_means(results()["findings"])
    assert [head[-1], rows[0]] == ["torch", ["inference", "1", "4.00"]]


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


def test_report_and_command_line_need_no_engine() -> None:
    """They must run where pyrnn is not installed: only the processes that measure import it."""
    import subprocess

    code = "import sys; import compare, report; sys.exit('pyrnn' in sys.modules or 'numpy' in sys.modules)"
    folder = str(Path(compare.__file__).parent)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)
