"""Which kernels run: the best that this machine can, or the ones that PYRNN_ISA or a test forces."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.engine import TABLES, TABLES_OF
from helpers.process import output_of, run_python

import pyrnn
from pyrnn import _engine, ops

USABLE = ", ".join(TABLES)
RUN = """
import json
import numpy as np
import pyrnn
from pyrnn import _engine, ops
isas = []
for dtype in ("float32", "float64"):
    x, W_x, W_h = (np.ones(shape, dtype) for shape in [(3, 2, 4), (4, 20), (5, 20)])
    ops.forward("lstm", x, W_x, W_h)
    isas.append(_engine.last_report()["isa"])
config = pyrnn.show_config("dict")
print(json.dumps([isas, config["isa"], config["isa_forced"], config["isa_why"]]))
"""


def test_the_best_runs_by_default() -> None:
    best = next(iter(TABLES))
    isas, isa, forced, why = json.loads(output_of(RUN))
    assert (isas, isa, forced) == ([best, best], best, False)
    assert why.startswith("the best")


def test_PYRNN_ISA_forces_a_table_and_it_runs(isa: str) -> None:
    assert json.loads(output_of(RUN, PYRNN_ISA=isa)) == [[isa, isa], isa, True, "PYRNN_ISA forces it"]


@pytest.mark.parametrize("name", ["sse9", "AVX2", "portable ", "avx2,portable"])
def test_unknown_PYRNN_ISA_stops_the_import(name: str) -> None:
    done = run_python("import pyrnn", PYRNN_ISA=name)
    assert done.returncode == 1
    assert f"PYRNN_ISA: expected one of {USABLE}, got '{name}' (unknown)" in done.stderr.splitlines()[-1]


def test_empty_PYRNN_ISA_is_none() -> None:
    assert output_of(RUN, PYRNN_ISA="") == output_of(RUN)


OLD_MACHINE = [("avx512", False, "this machine lacks avx512f"), ("avx2", True, ""), ("portable", True, "")]


def test_the_choice_on_an_older_machine() -> None:
    assert _engine._choose_isa(OLD_MACHINE, "") == "avx2"
    assert _engine._choose_isa(OLD_MACHINE, "portable") == "portable"
    with pytest.raises(RuntimeError) as caught:
        _engine._choose_isa(OLD_MACHINE, "avx512")
    assert str(caught.value) == ("PYRNN_ISA: expected one of avx2, portable, got 'avx512' (this machine lacks avx512f)")
    with pytest.raises(RuntimeError, match=r"^no kernels can run here: avx512: this machine lacks avx512f$"):
        _engine._choose_isa(OLD_MACHINE[:1], "")


def test_forced_by_a_call(isa: str, dtype: str) -> None:
    x, W_x, W_h = (np.ones(shape, dtype) for shape in [(3, 2, 4), (4, 20), (5, 20)])
    ops.forward("lstm", x, W_x, W_h, _force={"isa": isa})
    report = _engine.last_report()
    assert (report["isa"], report["dtype"]) == (isa, dtype)


def test_a_call_cannot_force_what_there_is_not() -> None:
    x, W_x, W_h = (np.ones(shape) for shape in [(3, 2, 4), (4, 20), (5, 20)])
    quoted = ", ".join(f"'{isa}'" for isa in TABLES)
    with pytest.raises(ValueError, match=f"^_force: expected one of {quoted}, got 'sse9'"):
        ops.forward("lstm", x, W_x, W_h, _force={"isa": "sse9"})
    with pytest.raises(ValueError, match=f"^isa: expected one of {USABLE}, got 'sse9'"):
        _engine._unary("tanh", np.ones(3), "sse9")


def test_show_config_as_a_dict() -> None:
    config = pyrnn.show_config("dict")
    assert list(config["isas"]) == ["avx512", "avx2", "portable"]
    assert [name for name, isa in config["isas"].items() if isa["usable"]] == list(TABLES)
    assert all(isa["why"] for isa in config["isas"].values())
    assert config["isa"] in TABLES
    assert config["precision"] == {
        "float32": config["isa"],
        "float64": config["isa"],
        "bf16": next(iter(TABLES_OF["bf16"])) if config["isa"] == "avx512" else config["isa"],
    }
    assert config["thread_back_end"].split()[0] in ("std::thread", "OpenMP")
    assert config["threads"] == pyrnn.get_num_threads()
    assert config["usable_cpus"] >= 1
    assert config["usable_cpus_why"].startswith("affinity allows ")
    assert config["compiler"].split()[0] in ("GNU", "Clang", "AppleClang")
    assert "-O" in config["build_flags"]


def test_show_config_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert pyrnn.show_config() is None
    text = capsys.readouterr().out
    config = pyrnn.show_config("dict")
    for part in (
        "isa",
        "isa_why",
        "bf16_why",
        "thread_back_end",
        "threads_from",
        "usable_cpus_why",
        "compiler",
        "build_flags",
    ):
        assert config[part] in text
    with pytest.raises(ValueError, match=r"^mode: expected 'print' or 'dict', got 'json'$"):
        pyrnn.show_config("json")  # type: ignore[call-overload]


def test_tables_agree_on_what_a_cell_is() -> None:
    names = [cell["name"] for cell in _engine.cells()]
    assert names == ["lstm", "gru", "gru_reset_before", "rnn_tanh", "rnn_relu"]
    for name in names:
        for isa in TABLES:
            gates = next(len(cell["gates"]) for cell in _engine.cells() if cell["name"] == name)
            ops.forward(name, np.ones((1, 1, 2)), np.ones((2, gates)), np.ones((1, gates)), _force={"isa": isa})
            report = _engine.last_report()
            assert (report["cell"], report["isa"]) == (name, isa)
