"""The rivals: a plain Cython loop, compiled once a run."""

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def loops(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """loops.pyx, built with -O3 for this very machine, as a user would who compiles for himself."""
    folder = tmp_path_factory.mktemp("loops")
    source, made = folder / "loops.c", folder / f"loops{sysconfig.get_config_var('EXT_SUFFIX')}"
    pyx = Path(__file__).with_name("loops.pyx")
    subprocess.run([sys.executable, "-m", "cython", "-3", str(pyx), "-o", str(source)], check=True)
    flags = ["-O3", "-march=native", "-fPIC", "-shared", "-w", f"-I{sysconfig.get_path('include')}"]
    subprocess.run(["gcc", *flags, str(source), "-o", str(made), "-lm"], check=True)
    spec = importlib.util.spec_from_file_location("loops", made)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
