"""pyrnn beside PyTorch, ONNX Runtime, OpenVINO and JAX, over the grid of shapes.py.

    python benchmarks/compare.py [--threads 1,2] [--cells lstm,gru] [--shapes tiny,asr] [--train | --infer] [--json F]

It measures the installed package. Results are compared first, within a bound derived from the number of summed terms;
then everybody is timed in turn, round by round. A peer that fails is named and left out of that point. The exit status
is 1 where a result is wrong, 2 where a process that measures has failed.

Parts: grid, every point of it; streaming, single steps; steps, whole training steps; threads, two threads against one;
ragged, rows of many lengths; segments, a tape that is recomputed; bf16, factors in half precision; isa, the AVX2
kernels against their own limit; import and memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import footprint
from figures import Finding, of_kind
from goals import goals, verdicts
from lines import line_of
from shapes import CELLS, SHAPES, Shape
from tables import aligned, goals_table, peer_means, scaling, summary

PEERS = ("torch", "onnxruntime", "openvino", "jax")
PEER_PARTS = ("grid", "streaming", "steps", "bf16")  # a process for each number of threads
OWN_PARTS = ("threads", "ragged", "segments")  # one process, where pyrnn is alone
PARTS = (*PEER_PARTS, *OWN_PARTS, "isa", "import", "memory")
OTHER_ISA = "avx2"
WORKER = Path(__file__).with_name("worker.py")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYRNN_NUM_THREADS")


class WorkerError(RuntimeError):
    """A process that measures has failed; what it printed says why."""


def shape_of(text: str) -> Shape:
    """The name of a shape of the grid, or its sizes: TxBxDxH or TxBxDxHxL."""
    by_name = {shape.name: shape for shape in SHAPES}
    if text in by_name:
        return by_name[text]
    sizes = text.split("x")
    if len(sizes) not in (4, 5) or not all(size.isdecimal() and int(size) > 0 for size in sizes):
        names = ", ".join(by_name)
        raise argparse.ArgumentTypeError(f"expected one of {names}, or sizes such as 20x8x16x32, got {text!r}")
    return Shape(text, *map(int, sizes))


def counts(text: str) -> list[int]:
    most = len(usable_cpus())
    try:
        values = [int(value) for value in text.split(",")]
    except ValueError:
        values = [0]
    if not all(1 <= value <= most for value in values):
        raise argparse.ArgumentTypeError(f"expected numbers from 1 to {most}, the CPUs there are, got {text!r}")
    return values


def some_of(*choices: str) -> Any:
    def read(text: str) -> list[str]:
        values = text.split(",")
        if not set(values) <= set(choices):
            raise argparse.ArgumentTypeError(f"expected some of {','.join(choices)}, got {text!r}")
        return values

    return read


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--threads", type=counts, default="1", metavar="N,..", help="numbers of threads, each in a process (1)")
    add("--cells", type=some_of(*CELLS, "rnn_relu"), default=list(CELLS), metavar="CELL,..",
        help=f"of {','.join(CELLS)} (all) and rnn_relu")  # fmt: skip
    add("--shapes", type=lambda text: [shape_of(s) for s in text.split(",")], default=list(SHAPES), metavar="SHAPE,..",
        help="names of shapes.py, or sizes TxBxDxH[xL] (all of shapes.py)")  # fmt: skip
    add("--off", action="store_true", help="the same shapes with about 10 %% more or less units, prime numbers")
    passes = parser.add_mutually_exclusive_group()
    passes.add_argument("--train", action="store_const", dest="modes", const=["training"], help="training only")
    passes.add_argument("--infer", action="store_const", dest="modes", const=["inference"], help="inference only")
    add("--parts", type=some_of(*PARTS), default=list(PARTS), metavar="PART,..", help=f"of {','.join(PARTS)} (all)")
    add("--peers", type=lambda text: [name for name in text.split(",") if name], default=list(PEERS), metavar="PEER,..",
        help=f"of {','.join(PEERS)} (all); a name with a dot is a module of your own")  # fmt: skip
    add("--rounds", type=positive, default=9, help="turns of each contestant (9)")
    add("--wheel", metavar="FILE", help="a wheel of pyrnn, whose size is reported")
    add("--json", metavar="FILE", help="where the findings go, for report.py")
    options = parser.parse_args(arguments)
    options.modes = options.modes or ["inference", "training"]
    if options.off:
        known = {shape.name for shape in SHAPES}
        if not all(shape.name in known for shape in options.shapes):
            parser.error("--off: expected --shapes by name")
        options.shapes = [shape.off() for shape in options.shapes]
    if options.wheel and not Path(options.wheel).is_file():
        parser.error(f"--wheel: expected a file, got {options.wheel}")
    return options


def usable_cpus() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def worker_findings(options: argparse.Namespace, contest: str, threads: int) -> Iterator[Finding]:
    """Of a process on so many CPUs; the last ones, as the first is where the system works."""
    settings = {
        "contest": contest,
        "threads": threads,
        "cpus": usable_cpus()[-threads:],
        "shapes": options.shapes,
        "cells": options.cells,
        "modes": options.modes,
        "parts": options.parts,
        "peers": options.peers if contest == "peers" else [],
        "rounds": options.rounds,
    }
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"JAX_PLATFORMS": "cpu"}
    if contest not in ("peers", "own"):
        environment["PYRNN_ISA"] = contest
    source, sink = os.pipe()
    worker = subprocess.Popen(
        [sys.executable, str(WORKER), json.dumps(settings), str(sink)],
        env=environment,
        pass_fds=(sink,),
    )
    os.close(sink)
    with os.fdopen(source) as pipe:
        for line in pipe:
            yield json.loads(line)
    if worker.wait() != 0:
        raise WorkerError(f"the process for {contest} with {threads} threads ended with status {worker.returncode}")


def sources_of(options: argparse.Namespace) -> Iterator[Iterator[Finding]]:
    """Each may fail without the others."""
    parts, most = set(options.parts), max(options.threads)
    if parts & set(PEER_PARTS):
        for threads in options.threads:
            yield worker_findings(options, "peers", threads)
    if "threads" in parts and most == 1:
        yield iter([{"kind": "left out", "part": "threads", "why": "--threads names no more than one"}])
    if parts & set(OWN_PARTS):
        yield worker_findings(options, "own", most)
    if "isa" in parts:
        yield worker_findings(options, OTHER_ISA, 1)
    yield footprints_of(options)


def footprints_of(options: argparse.Namespace) -> Iterator[Finding]:
    if options.wheel:
        yield footprint.wheel(options.wheel)
    if "import" in options.parts:
        yield footprint.imports(options.rounds)
    if "memory" in options.parts:
        with_torch = "torch" in options.peers and footprint.installed("torch")
        for shape in options.shapes:
            for cell in options.cells:
                yield footprint.memory(cell, shape, max(options.threads), with_torch)


def machine() -> dict[str, Any]:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = lines[0] if lines else model
    caches = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    sizes = [f"L{(c / 'level').read_text().strip()} {(c / 'size').read_text().strip()}" for c in caches
             if (c / "type").read_text().strip() != "Instruction"]  # fmt: skip
    return {"cpu": model, "cpus": len(usable_cpus()), "caches": sizes, "system": platform.platform(),
            "python": platform.python_version()}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints findings as they come. Returns the exit status."""
    options = parse(arguments)
    findings: list[Finding] = []
    failures: list[Exception] = []
    facts = machine()
    print(f"machine   {facts['cpu']}, {facts['cpus']} CPUs; Python {facts['python']}", flush=True)
    try:
        for source in sources_of(options):
            try:
                for finding in source:
                    if finding["kind"] == "missing" and finding in findings:
                        continue  # every number of threads misses it
                    findings.append(finding)
                    print(line_of(finding), flush=True)
            except (WorkerError, subprocess.CalledProcessError) as error:
                failures.append(error)
    finally:
        if options.json:
            settings = {"rounds": options.rounds, "off": options.off}
            data = {"machine": facts, "settings": settings, "findings": findings, "goals": goals(findings)}
            Path(options.json).write_text(json.dumps(data))
    return conclude(findings, failures)


def conclude(findings: list[Finding], failures: list[Exception]) -> int:
    """Prints tables and what went wrong. Returns the exit status."""
    lines = goals(findings)
    for table in (summary(findings), peer_means(findings), scaling(findings), goals_table(lines)):
        if table[1]:
            print(f"\n{aligned(table)}")
    if lines:
        words = [f"{goal} {'met' if met else 'not met'}" for goal, met in verdicts(lines).items()]
        print(f"\ngoals: {', '.join(words)}")
    missing = sorted({finding["peer"] for finding in of_kind(findings, "missing")})
    if missing:
        print(f'\nnot compared with {", ".join(missing)}: not installed (pip install ".[bench]")')
    for what, key in (("calls of peers failed", "failed"), ("results are wrong", "wrong")):
        if several := [finding for finding in findings if finding.get(key)]:
            print(f"\n{len(several)} {what}:", *map(line_of, several), sep="\n")
    for failure in failures:
        print(f"compare: {failure}", file=sys.stderr)
    if failures:
        return 2
    return 1 if any(finding.get("wrong") for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
