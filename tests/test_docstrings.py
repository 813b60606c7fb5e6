"""The examples of the docstrings and of the README run, in the package that `import pyrnn` finds."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import pyrnn

ROOT = Path(__file__).parents[1]
MODULES = ["pyrnn", *(m.name for m in pkgutil.walk_packages(pyrnn.__path__, "pyrnn.") if "__main__" not in m.name)]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # an example may write a file
    module = importlib.import_module(name)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(module, optionflags=flags).failed == 0


def test_docstrings_have_examples() -> None:
    finder = doctest.DocTestFinder()
    tests = [t for name in MODULES for t in finder.find(importlib.import_module(name)) if t.examples]
    assert len(tests) >= 20


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL), ids=lambda b: b.split("\n")[0])
def test_examples_of_the_readme(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    losses = re.findall(r"\d+\.\d+", capsys.readouterr().out)
    assert losses == sorted(losses, key=float, reverse=True)  # where a block prints a training loss, it falls
