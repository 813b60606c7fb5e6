"""Python code in a process of its own, with the package that the tests have imported."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pyrnn

SETTINGS = ("PYRNN_ISA", "PYRNN_NUM_THREADS")


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the code with only these of pyrnn's environment variables; TimeoutExpired after two minutes."""
    root = str(Path(pyrnn.__file__).parents[1])
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return subprocess.run(
        # CPython warns of forks where there are threads; that they work is what some tests are about.
        [sys.executable, "-W", "error", "-W", "ignore:.*fork:DeprecationWarning", "-c", textwrap.dedent(code)],
        env={**inherited, "PYTHONPATH": os.pathsep.join([root, inherited.get("PYTHONPATH", "")]), **environment},
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )


def output_of(code: str, **environment: str) -> str:
    """What the code prints; it must succeed and leave stderr empty."""
    done = run_python(code, **environment)
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr)
    return done.stdout.strip()
