"""What benchmarks/compare.py is made of: bounds, turns, roofline, whole steps, footprints, pyrnn against itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bf16
import footprint
import numpy as np
import ours
import pytest
import roofline
import timing
import variants
import whole_steps
from measure import Settings
from problem import Problem, check, error_share
from shapes import CELLS, Shape

import pyrnn
from pyrnn import _engine

SMALL = Shape("3x2x5x7", 3, 2, 5, 7)
STACK = Shape("4x2x5x6x2", 4, 2, 5, 6, 2)


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


# ---- pyrnn against itself


@pytest.fixture
def own_contest() -> variants.Variants:
    settings = Settings("own", 2, [0, 1], [STACK], ["lstm"], ["inference", "training"], ["threads", "ragged"], [], 1)
    return variants.Variants(settings)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_two_threads_against_one(own_contest: variants.Variants, cell: str, mode: str) -> None:
    found = own_contest.threads(mode, cell, STACK)
    assert found["wrong"] == {}
    assert found["speed_up"] == pytest.approx(found["times"]["1"]["median_us"] / found["times"]["2"]["median_us"])


@pytest.mark.parametrize("cell", CELLS)
def test_ragged_rows_give_what_padded_rows_give(own_contest: variants.Variants, cell: str) -> None:
    found = own_contest.ragged(cell, Shape("", 9, 5, 6, 7, 2), 1)
    assert found["wrong"] == {}
    assert set(found["times"]) == {"padded", "ragged", "equal"}
    assert 0 < found["steps_share"] < 1


def test_ragged_rows_that_are_not_cut_are_wrong(
    monkeypatch: pytest.MonkeyPatch, own_contest: variants.Variants
) -> None:
    whole = ours.training
    monkeypatch.setattr(ours, "training", lambda problem, lengths=None: whole(problem))
    wrong = own_contest.ragged("gru", Shape("", 9, 5, 6, 7, 2), 1)["wrong"]
    assert {"y", "dx", "dW_h[0]", "dW_h[1]"} <= set(wrong["ragged"])


def test_a_changed_bit_is_seen() -> None:
    ones = {"y": np.ones(3, np.float32)}
    assert variants.differing(ones, {"y": np.ones(3, np.float32)}) == {}
    assert variants.differing(ones, {"y": np.nextafter(ones["y"], np.float32(2))}) == {"y": np.inf}


# ---- bf16


def test_the_bound_of_bf16_is_about_its_roundings() -> None:
    """Products of rounded factors are inside, a tenth of the largest value is outside."""
    rng = np.random.default_rng(1)
    a, W = rng.standard_normal((50, 300), np.float32), rng.standard_normal((300, 200), np.float32)
    exact = {"y": a @ W}
    rounded = {"y": to_bf16(a) @ to_bf16(W)}
    assert 0.05 < bf16.shares(rounded, exact, Shape("", 1, 50, 300, 200), 1)["y"] < 0.5
    wrong = {"y": exact["y"] + np.float32(0.1) * np.abs(exact["y"]).max()}
    assert bf16.shares(wrong, exact, Shape("", 1, 50, 300, 200), 1)["y"] > 1


def to_bf16(x: np.ndarray) -> np.ndarray:
    """Rounded to the nearest, as float32."""
    return ((x.view(np.uint32) + 0x8000) & np.uint32(0xFFFF0000)).view(np.float32)


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_bf16_against_float32(mode: str) -> None:
    """With PyTorch where it is installed."""
    peers = ["torch"] if footprint.installed("torch") else []
    contest = bf16.HalfPrecision(Settings("peers", 1, [0], [STACK], ["lstm"], [mode], ["bf16"], peers, 1))
    (found,) = contest.findings()
    assert (found["wrong"], found["failed"]) == ({}, {})
    assert set(found["times"]) == {"pyrnn", "float32", *peers}
    assert found["gain"] > 0 and (found["ratio"] is not None) == bool(peers)
