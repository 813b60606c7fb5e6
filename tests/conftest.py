"""Fixtures that every test file may use. Their ids say what runs: `-k "lstm and avx2 and float32"`."""

from __future__ import annotations

import signal

import pytest
from helpers.engine import CELLS, DTYPES, TABLES_OF

from pyrnn.utils import set_random_seed

# A run in the background of a script inherits a SIGINT that is ignored; tests of Ctrl-C need Python's own handler.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def seeds() -> None:
    """Initial weights, dropout and shuffling are the same in every run of a test."""
    set_random_seed(1)


@pytest.fixture(params=list(CELLS), scope="session")
def cell(request: pytest.FixtureRequest) -> str:
    """The name of each cell the engine has."""
    return str(request.param)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """isa: a kernel table for `_force={"isa": isa}`. dtype: of the arrays; in a file that says RUNS_IN = PRECISIONS
    also "bf16", where arrays are float32 and only products are less precise (`Case.astype` takes it as a dtype).
    """
    precisions = getattr(metafunc.module, "RUNS_IN", DTYPES)
    marks = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    own = {name for names in marks for name in ([names] if isinstance(names, str) else names)}
    wanted = {"isa", "dtype"} & set(metafunc.fixturenames) - own
    if wanted == {"isa", "dtype"}:
        metafunc.parametrize(("isa", "dtype"), [(isa, p) for p in precisions for isa in TABLES_OF[p]])
    elif wanted == {"isa"}:
        metafunc.parametrize("isa", TABLES_OF["float32"])
    elif wanted == {"dtype"}:
        metafunc.parametrize("dtype", precisions)
