"""The house of the README's layer diagram holds: arrows point down, islands are islands, kernels keep to themselves."""

import ast
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
PYRNN = ROOT / "pyrnn"

# From the ground to the roof; a file may include what stands in its own line or in a line above it.
CPP_LAYERS = [
    ("kernel_table.hpp", "ops_table.hpp"),
    ("base",),
    ("simd",),
    ("gemm",),
    ("cells",),
    ("sequence",),
    ("ops",),
    ("kernels.cpp",),
    ("dispatch",),
    ("bindings",),
]
KERNEL_SIDE = ("simd", "gemm", "cells", "sequence", "ops", "kernels.cpp")
PYTHON_LAYERS = [
    ("_engine", "_types"),
    ("_files",),
    ("config", "data"),
    ("datasets", "preprocessing"),
    ("_step_ops", "_training_ops"),
    ("ops",),
    ("activations", "utils"),
    ("initializers", "losses", "metrics", "regularizers"),
    ("constraints",),
    ("layers",),
    ("optimizers",),
    ("training",),
    ("callbacks",),
    ("models",),
    ("saving",),
    ("tasks", "interop"),
    ("cli",),
]
CORE_DEPENDENCIES = {"numpy", "safetensors", "tqdm"}


def rank(part: str, layers: list[tuple[str, ...]]) -> int:
    found = [i for i, names in enumerate(layers) if part in names]
    assert found, f"{part} has no place in the layers"
    return found[0]


# ---- C++


def cpp_files() -> list[Path]:
    return sorted(path for path in CSRC.rglob("*") if path.suffix in (".hpp", ".cpp"))


def cpp_part(path: Path) -> str:
    return path.relative_to(CSRC).parts[0]


def includes(path: Path) -> list[tuple[str, str]]:
    return re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def test_there_is_something_to_check() -> None:
    assert {"base", "simd", "cells", "sequence", "dispatch", "bindings"} <= {cpp_part(path) for path in cpp_files()}


def test_includes_only_point_down() -> None:
    wrong = []
    for path in cpp_files():
        for kind, name in includes(path):
            if kind == '"':
                target = CSRC / name if (CSRC / name).exists() else path.parent / name
                assert target.exists(), f'{path}: no file for "{name}"'
                if rank(cpp_part(target), CPP_LAYERS) > rank(cpp_part(path), CPP_LAYERS):
                    wrong.append(f"{path.relative_to(ROOT)} includes {name}")
    assert not wrong


def test_only_plain_headers_are_shared_with_the_kernels() -> None:
    """What is compiled for one instruction set is included by kernels.cpp alone, and includes no standard library."""
    plain = {"cstddef", "cstdint", "emmintrin.h", "immintrin.h", "arm_neon.h"}
    wrong = []
    for path in cpp_files():
        kernel_side = cpp_part(path) in KERNEL_SIDE
        for kind, name in includes(path):
            if kind == "<":
                crosses = kernel_side and name not in plain
            else:
                target = CSRC / name if (CSRC / name).exists() else path.parent / name
                shared = cpp_part(target) in CPP_LAYERS[0]
                crosses = not shared and (cpp_part(target) in KERNEL_SIDE) != kernel_side
            if crosses:
                wrong.append(f"{path.relative_to(ROOT)} includes {name}")
    assert not wrong


def test_only_the_team_knows_threads() -> None:
    knows = re.compile(r"<thread>|std::j?thread|<omp\.h>|\bomp_|#\s*pragma\s+omp")
    files = {str(path.relative_to(CSRC)) for path in cpp_files() if knows.search(code_of(path))}
    assert files and all(re.fullmatch(r"base/team\w*\.[ch]pp", name) for name in files), files


def test_only_bindings_know_python() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} includes {name}"
        for path in cpp_files()
        for _, name in includes(path)
        if cpp_part(path) != "bindings" and re.match(r"Python\.h|pybind11|numpy", name)
    ]
    assert not wrong


def test_time_loops_name_no_cell() -> None:
    cells = [path.stem for path in (CSRC / "cells").glob("*.hpp") if path.stem not in ("cell", "cells")]
    assert {"lstm", "gru"} <= set(cells)
    names = re.compile(r"\b(" + "|".join(cells) + r")\b", re.IGNORECASE)
    loops = [*(CSRC / "sequence").iterdir(), *(CSRC / "gemm").iterdir()]
    assert [path.name for path in loops if names.search(code_of(path))] == []


def code_of(path: Path) -> str:
    """The text of a C++ file without its comments."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)


# ---- symbols


def kernel_sets() -> dict[str, list[str]]:
    """The lines of CMakeLists.txt that give an instruction set its compiler flags."""
    lines = re.findall(r"^\s*pyrnn_kernels\((\w+)([^)]*)\)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)
    return {isa: flags.split() for isa, flags in lines}


def test_one_line_an_instruction_set() -> None:
    sets = kernel_sets()
    assert {"avx512bf16", "avx512", "avx2", "portable"} <= set(sets)
    assert sets["portable"] == []
    text = (ROOT / "CMakeLists.txt").read_text()
    assert len(re.findall(r"\s-m\w+", text)) == sum(len(flags) for flags in sets.values())


@pytest.mark.skipif(not shutil.which("g++") or not shutil.which("nm"), reason="needs g++ and nm")
@pytest.mark.parametrize(
    "kernels", ["portable_f32", "avx2_f32", "avx512_f32", "portable_bf16", "avx2_bf16", "avx512bf16_bf16"]
)
def test_kernels_define_symbols_in_their_own_namespace_only(kernels: str, tmp_path: Path) -> None:
    """Without optimisation nothing is inlined, so that everything a kernel could leak is in the object file."""
    isa, precision = kernels.split("_")
    if isa != "portable" and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("an instruction set of x86-64")
    defines = [f"-DPYRNN_NS={kernels}", "-DPYRNN_REAL=float", f"-DPYRNN_ISA_{isa.upper()}=1"]
    defines += ["-DPYRNN_BF16=1"] if precision == "bf16" else []
    flags = ["-std=c++17", "-O0", "-fPIC", "-fno-exceptions", "-w", *kernel_sets()[isa], *defines]
    made = tmp_path / "kernels.o"
    subprocess.run(["g++", *flags, f"-I{CSRC}", "-c", str(CSRC / "kernels.cpp"), "-o", str(made)], check=True)
    listed = subprocess.run(["nm", "-C", "--defined-only", str(made)], check=True, capture_output=True, text=True)
    symbols = [line.split(maxsplit=2)[1:] for line in listed.stdout.splitlines()]
    visible = [name for kind, name in symbols if kind.isupper() or kind in "uvw"]
    assert len(visible) > 50
    inside = re.compile(rf"(guard variable for )?pyrnn::{kernels}::")
    leaked = [name for name in visible if not inside.match(without_return_type(name))]
    assert leaked == []
    # A weak symbol may be merged with another object's, and a strong one clash with it: the namespace rules out both.
    strong = [name for kind, name in symbols if kind == "T"]
    assert strong == [f"pyrnn::{kernels}::kernel_table()"]


def without_return_type(symbol: str) -> str:
    """Template functions are listed with their return type, whose own name may be anything."""
    depth = 0
    for i, character in enumerate(symbol):
        depth += (character in "<(") - (character in ">)")
        if character == " " and depth == 0 and symbol[i + 1 :].startswith("pyrnn::"):
            return symbol[i + 1 :]
    return symbol


# ---- Python


def python_files() -> list[Path]:
    return sorted(path for path in PYRNN.rglob("*.py") if path != PYRNN / "__init__.py")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> list[str]:
    """Full names of the modules a file imports, lazily too; what only a type checker sees does not count."""
    module = module_of(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            names += [f"{base}.{alias.name}" for alias in node.names] if base == "pyrnn" else [base]
    return names


def python_part(module: str) -> str:
    return module.split(".")[1]


def test_python_imports_only_point_down() -> None:
    wrong = []
    for path in python_files():
        source = python_part(module_of(path))
        for name in imports(path):
            if source == "reference" or not name.startswith("pyrnn.") or not is_module(python_part(name)):
                continue
            if rank(python_part(name), PYTHON_LAYERS) > rank(source, PYTHON_LAYERS):
                wrong.append(f"{module_of(path)} imports {name}")
    assert not wrong


def is_module(name: str) -> bool:
    """Whether pyrnn.<name> is a module, not a name such as __version__ that pyrnn/__init__.py defines."""
    return name == "_engine" or (PYRNN / name).is_dir() or (PYRNN / f"{name}.py").is_file()


def test_reference_is_an_island() -> None:
    bridges = []
    for path in python_files():
        inside = python_part(module_of(path)) == "reference"
        for name in imports(path):
            leaves = name.startswith("pyrnn") and not name.startswith("pyrnn.reference")
            enters = name.startswith("pyrnn.reference")
            if leaves if inside else enters:
                bridges.append(f"{module_of(path)} imports {name}")
    assert not bridges


def test_nothing_multiplies_matrices_outside_the_engine() -> None:
    """NumPy's BLAS would change bits with shape and threads. The reference may; layers and training may not."""
    products = {"dot", "einsum", "inner", "matmul", "tensordot", "vdot"}
    found = []
    for path in python_files():
        if python_part(module_of(path)) == "reference":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            product = isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.MatMult)
            if product or (isinstance(node, ast.Attribute) and node.attr in products):
                found.append(f"{module_of(path)}:{node.lineno}")
    assert not found


def test_core_dependencies() -> None:
    (listed,) = re.findall(r"^dependencies = (\[.*\])$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert {re.split(r"[<>=~! ]", line)[0] for line in ast.literal_eval(listed)} == CORE_DEPENDENCIES


def test_only_core_dependencies_are_imported_at_once() -> None:
    known = CORE_DEPENDENCIES | {"pyrnn"} | set(sys.stdlib_module_names)
    found = []
    for path in [*python_files(), PYRNN / "__init__.py"]:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            found += [f"{module_of(path)} imports {name}" for name in names if name.split(".")[0] not in known]
    assert not found
