"""What pyrnn takes besides the time of its calls: to import, on disk, and in memory while it trains.

`python benchmarks/footprint.py SETTINGS` is the process whose memory is measured.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from figures import Finding
from shapes import Shape

IMPORT = "import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
AFTER_NUMPY = "import numpy; " + IMPORT
TRAINING_CALLS = 2  # the second finds the buffers of the first


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def import_seconds(code: str, rounds: int) -> float:
    """The median over fresh processes; the first one, which fills the disk's cache, does not count."""
    values = []
    for _ in range(rounds + 1):
        # Not from the checkout's root, where the import would find the sources instead of the installed package.
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path(__file__).parent
        )
        values.append(float(done.stdout))
    return statistics.median(values[1:])


def imports(rounds: int) -> Finding:
    """Milliseconds of `import pyrnn` after NumPy, and of the others that are installed."""
    found = {"pyrnn": import_seconds(AFTER_NUMPY.format(module="pyrnn"), rounds) * 1e3}
    for module in ("numpy", "torch", "jax", "onnxruntime", "openvino"):
        if installed(module):
            found[module] = import_seconds(IMPORT.format(module=module), 3) * 1e3
    return {"kind": "import", "milliseconds": found}


def wheel(path: str) -> Finding:
    return {"kind": "wheel", "name": Path(path).name, "bytes": Path(path).stat().st_size}


def memory(cell: str, shape: Shape, threads: int, with_torch: bool) -> Finding:
    """Bytes by which training grows a process that holds the problem, at the peak of a few calls."""
    found = {"kind": "memory", "cell": cell, "shape": shape, "threads": threads, "bytes": {}, "failed": {}}
    for library in ["pyrnn"] + ["torch"] * with_torch:
        try:
            found["bytes"][library] = growth(library, cell, shape, threads)["growth"]
        except subprocess.CalledProcessError as error:
            if library == "pyrnn":
                raise
            found["failed"][library] = f"{error}\n{error.stderr}"
    return found


def growth(
    library: str, cell: str, shape: Shape, threads: int, calls: int = TRAINING_CALLS, tape: str = "full"
) -> dict[str, int]:
    """Of training in a process of its own: `growth`, and `results`, what one call of it gives or keeps as weights."""
    values = {"library": library, "cell": cell, "threads": threads, "sizes": shape[1:], "calls": calls, "tape": tape}
    arguments = [sys.executable, __file__, json.dumps(values)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, env=environment)
    measured: dict[str, int] = json.loads(done.stdout)
    return measured


def status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status: expected a line {field}")


def measured_growth(library: str, cell: str, threads: int, sizes: list[int], calls: int, tape: str) -> dict[str, int]:
    import pyrnn

    pyrnn.set_num_threads(threads)
    from problem import Problem

    contestant = importlib.import_module("ours" if library == "pyrnn" else f"peers.{library}")
    problem = Problem(cell, Shape("", *sizes), threads)
    options = {} if tape == "full" else {"tape": tape}
    before = status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    run = contestant.training(problem, **options)
    for _ in range(calls):
        value = run.call()
    peak = status_bytes("VmHWM")
    results = sum(array.nbytes for array in run.results(value).values())
    weights = sum(array.nbytes for layer in problem.layers for array in layer)  # the packed copy
    return {"growth": peak - before, "results": results + weights}


if __name__ == "__main__":
    print(json.dumps(measured_growth(**json.loads(sys.argv[1]))))
