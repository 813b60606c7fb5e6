"""Can the tests fail? Breaks every cell's backward in every small way and wants the suite red each time. Run by hand:

    python tests/mutate.py [--cells lstm gru] [--jobs N]

In csrc/cells/*.hpp, inside the functions called `backward` (and the slopes in cell.hpp that they use), one at a time:
    sign     a product is added instead of subtracted (fma, fnma), a minus becomes a plus, an assigned slot is negated
    swap     two slots (that is, gates) change places, where they are read or where they are written
Each mutant is built into the portable tables in a scratch copy of the project; then the gradient tests of its cell run
on them. Prints a table in Markdown and exits with 1 where a mutant survives. Needs what building the project needs.
"""

from __future__ import annotations

import argparse
import itertools
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CELLS = "csrc/cells"
TESTS = ["tests/test_engine_backward.py", "-k", "test_gradients_equal_reference and not any_shape and plain"]


@dataclass(frozen=True)
class Mutant:
    file: str
    cell: str  # struct, or the helper's name
    change: str
    text: str  # the whole mutated file


@dataclass(frozen=True)
class Function:
    name: str
    begin: int
    end: int


def closing_brace(text: str, opening: int) -> int:
    depth = 0
    for i in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return i
    raise ValueError("unbalanced braces")


def backward_functions(text: str) -> Iterator[Function]:
    """Bodies of `backward` in each struct, and of the free functions called `..._slope`."""
    for struct in re.finditer(r"^struct (\w+) \{", text, re.M):
        struct_end = closing_brace(text, struct.end() - 1)
        found = re.compile(r"\bvoid backward\([^)]*\) \{").search(text, struct.end(), struct_end)
        if found:
            yield Function(struct[1], found.end(), closing_brace(text, found.end() - 1))
    for slope in re.finditer(r"^PYRNN_INLINE Vec (\w+_slope)\([^)]*\) \{", text, re.M):
        yield Function(slope[1], slope.end(), closing_brace(text, slope.end() - 1))


def without_comments(body: str) -> str:
    """The same length, comments blanked, so that nothing in them is mutated."""
    return re.sub(r"//[^\n]*", lambda comment: " " * len(comment[0]), body)


def sign_mutations(body: str) -> Iterator[tuple[str, str]]:
    """(what changed, the new body)"""
    code = without_comments(body)
    for call in re.finditer(r"\b(fma|fnma)\(", code):
        other = {"fma": "fnma", "fnma": "fma"}[call[1]]
        shown = statement_at(code, call.start())
        yield f"{call[1]} -> {other} in `{shown}`", body[: call.start()] + other + body[call.end() - 1 :]
    for minus in re.finditer(r" - ", code):
        shown = statement_at(code, minus.start())
        yield f"- -> + in `{shown}`", body[: minus.start()] + " + " + body[minus.end() :]
    for assigned in re.finditer(r"(step\.\w+(?:\[\d+\])? = )([^;]+);", code):
        changed = f"{assigned[1]}-({assigned[2]});"
        yield f"negated `{assigned[0]}`", body[: assigned.start()] + changed + body[assigned.end() :]


def swap_mutations(body: str) -> Iterator[tuple[str, str]]:
    for where, pattern in (("read", r"step\.slot\[(\d)\](?! =)"), ("written", r"step\.slot\[(\d)\](?= =)")):
        used = sorted({found[1] for found in re.finditer(pattern, without_comments(body))})
        for a, b in itertools.combinations(used, 2):
            other = {a: b, b: a}
            yield (
                f"slots {a} and {b} swapped where {where}",
                re.sub(pattern, lambda found: f"step.slot[{other.get(found[1], found[1])}]", body),  # noqa: B023
            )


def statement_at(code: str, position: int) -> str:
    begin = max(code.rfind(end, 0, position) for end in ";{}") + 1
    return " ".join(code[begin : code.index(";", position)].split())


def mutants_of(file: Path) -> Iterator[Mutant]:
    text = file.read_text()
    for function in backward_functions(text):
        body = text[function.begin : function.end]
        for change, mutated in itertools.chain(sign_mutations(body), swap_mutations(body)):
            yield Mutant(file.name, function.name, change, text[: function.begin] + mutated + text[function.end :])


class Scratch:
    """A copy of the project with its own build, of the portable tables only."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for part in ("csrc", "pyrnn", "tests", "CMakeLists.txt", "pyproject.toml"):
            source, target = ROOT / part, root / part
            ignored = shutil.ignore_patterns("*.so", "__pycache__")
            shutil.copytree(source, target, ignore=ignored) if source.is_dir() else shutil.copy2(source, target)
        lists = root / "CMakeLists.txt"
        lists.write_text(re.sub(r"^\s*pyrnn_kernels\((?!portable).*\n", "", lists.read_text(), flags=re.M))
        pybind11 = self.run([sys.executable, "-m", "pybind11", "--cmakedir"], check=True).stdout.strip()
        options = {
            "CMAKE_BUILD_TYPE": "None",  # the project's own flags optimise for longer
            "CMAKE_CXX_FLAGS": "-O2",  # GCC 12 fails on the portable vectors with -O1
            "PYRNN_WERROR": "OFF",
            "Python_EXECUTABLE": sys.executable,
            "pybind11_DIR": pybind11,
        }
        self.run(
            ["cmake", "-S", ".", "-B", "build", *(f"-D{key}={value}" for key, value in options.items())], check=True
        )

    def run(self, command: list[str], check: bool = False) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYRNN_ISA": "portable", "PYTHONDONTWRITEBYTECODE": "1"}
        finished = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True)
        if check and finished.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{finished.stdout}\n{finished.stderr}")
        return finished

    def build(self) -> None:
        self.run(["cmake", "--build", "build", "--parallel"], check=True)
        for name, folder in (("_engine", "pyrnn"), ("_text", "pyrnn/data")):
            (built,) = (self.root / "build").glob(f"{name}.*.so")
            shutil.copy2(built, self.root / folder)

    def tests(self, cell: str | None) -> subprocess.CompletedProcess[str]:
        chosen = [*TESTS[:-1], TESTS[-1] + (f" and {cell}-" if cell else "")]
        return self.run([sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *chosen])


def id_in_tests(cell: str) -> str | None:
    """`GruResetBefore` is `gru_reset_before` in test names; a helper concerns all cells."""
    return None if cell.endswith("_slope") else re.sub(r"(?<!^)(?=[A-Z])", "_", cell).lower()


def outcome(mutant: Mutant, scratch: Scratch) -> str:
    """The line in which pytest sums up, or how the mutant was stopped."""
    target = scratch.root / CELLS / mutant.file
    original = target.read_text()
    target.write_text(mutant.text)
    try:
        scratch.build()
        finished = scratch.tests(id_in_tests(mutant.cell))
    finally:
        target.write_text(original)
    if finished.returncode not in (0, 1):
        raise RuntimeError(f"pytest did not run:\n{finished.stdout}\n{finished.stderr}")
    if finished.returncode == 0:
        return "SURVIVED"
    failed = re.search(r"^(?:FAILED|ERROR) \S*::(\S+)", finished.stdout, re.M)
    return f"killed by {failed[1]}" if failed else "killed"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", nargs="*", help="files of csrc/cells without .hpp; all by default")
    parser.add_argument("--jobs", type=int, default=1, help="scratch copies at work at the same time")
    arguments = parser.parse_args()
    files = [f for f in sorted((ROOT / CELLS).glob("*.hpp")) if not arguments.cells or f.stem in arguments.cells]
    mutants = [mutant for file in files for mutant in mutants_of(file)]
    assert mutants, "no backward function found"
    print(f"{len(mutants)} mutants", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.jobs) as pool:
        scratches: queue.Queue[Scratch] = queue.Queue()
        for scratch in pool.map(lambda i: Scratch(Path(folder) / str(i)), range(arguments.jobs)):
            scratch.build()
            scratches.put(scratch)
        healthy = scratch.tests(None)
        if healthy.returncode != 0:
            raise RuntimeError(f"the tests fail without a mutant:\n{healthy.stdout}")
        print(f"without a mutant: {healthy.stdout.splitlines()[-1]}", file=sys.stderr)

        def judge(mutant: Mutant) -> str:
            scratch = scratches.get()
            try:
                return outcome(mutant, scratch)
            finally:
                scratches.put(scratch)

        print("| file | function | change | outcome |\n|---|---|---|---|", flush=True)
        survivors = 0
        for mutant, result in zip(mutants, pool.map(judge, mutants), strict=True):
            survivors += result == "SURVIVED"
            print(f"| {mutant.file} | {mutant.cell} | {mutant.change} | {result} |", flush=True)
    print(f"\n{len(mutants) - survivors} of {len(mutants)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
