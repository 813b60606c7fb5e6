"""Fixtures that every test file may use. Their ids say what runs: `-k "lstm and avx2 and float32"`."""

from __future__ import annotations

import signal

import pytest
from helpers.engine import CELLS, DTYPES, TABLES

# A run in the background of a script inherits a SIGINT that is ignored; tests of Ctrl-C need Python's own handler.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=list(CELLS), scope="session")
def cell(request: pytest.FixtureRequest) -> str:
    """The name of each cell the engine has."""
    return str(request.param)


@pytest.fixture(params=list(TABLES), scope="session")
def isa(request: pytest.FixtureRequest) -> str:
    """The name of each kernel table this machine can run, for `_force={"isa": isa}`."""
    return str(request.param)


@pytest.fixture(params=DTYPES, scope="session")
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)
