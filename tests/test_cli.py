"""The command `pyrnn`: what it prints, writes and returns, in this process and as one of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pyrnn
from pyrnn.cli import main
from pyrnn.tasks.addition import Adder

TINY = ["addition", "--digits", "2", "--hidden", "8", "--epochs", "2", "--samples", "200"]
OPTIONS = [
    *("--digits", "--operands", "--no-reverse", "--cell", "--hidden", "--layers", "--epochs", "--batch-size"),
    *("--samples", "--seed", "--threads", "--save", "--load", "--ask", "--plot", "--json"),
]


def command(*arguments: str) -> list[str]:
    """A process with the package that this one has imported."""
    code = f"import sys; sys.path.insert(0, {str(Path(pyrnn.__file__).parents[1])!r}); import pyrnn.cli as c"
    return [sys.executable, "-c", f"{code}; sys.exit(c.main())", *arguments]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("saved") / "adder.pyrnn"
    assert main([*TINY, "--no-reverse", "--cell", "gru", "--save", str(file)]) == 0
    return file


# ---- what it does


def test_training_prints_progress_and_unseen_sums(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    assert main([*TINY, "--json", str(file)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.search(r"200 sums to train on, 505 to validate, 505 to test", out)
    assert len(re.findall(r"^Epoch [12]/2 .*loss.*val_exact_match", out, re.MULTILINE)) == 2
    assert len(re.findall(r"^ +\d+\+\d+ +=.*(right|wrong, it is \d+)$", out, re.MULTILINE)) == 10
    metrics = json.loads(file.read_text())
    assert set(metrics) == {"char_accuracy", "exact_match", "epochs", "seconds"}
    assert metrics["epochs"] == 2
    assert 0 <= metrics["exact_match"] <= metrics["char_accuracy"] <= 1
    assert f"{metrics['exact_match']:.2%} of the sums" in out


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_every_option_of_the_network_counts(cell: str, tmp_path: Path) -> None:
    file = tmp_path / "adder.pyrnn"
    given = "--operands 3 --no-reverse --layers 2 --batch-size 16 --seed 9 --threads 1".split()
    before = pyrnn.get_num_threads()
    assert main([*TINY, "--cell", cell, *given, "--save", str(file)]) == 0
    assert pyrnn.get_num_threads() == 1
    pyrnn.set_num_threads(before)
    adder = Adder.load(file)
    o = adder.options
    assert (o.digits, o.operands, o.reverse, o.cell, o.hidden, o.layers) == (2, 3, False, cell, 8, 2)
    assert (o.epochs, o.batch_size, o.samples, o.seed) == (2, 16, 200, 9)
    assert adder.model.output_shape == (None, 3, 12)


def test_ask_a_saved_network(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["addition", "--ask", "21+64", "--load", str(saved)]) == 0
    answer = Adder.load(saved).add("21+64")
    line = capsys.readouterr().out.strip()
    assert re.fullmatch(rf"21\+64 = {answer} *(right|wrong, it is 85)", line)


def test_load_shows_unseen_sums(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["addition", "--load", str(saved)]) == 0
    out = capsys.readouterr().out
    assert "Epoch" not in out
    assert "of the sums are right" in out


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_plot(ending: str, saved: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    starts = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml"}
    trained, loaded = tmp_path / f"trained.{ending}", tmp_path / f"loaded.{ending}"
    assert main([*TINY, "--plot", str(trained)]) == 0
    assert main(["addition", "--load", str(saved), "--ask", "1+2", "--plot", str(loaded)]) == 0
    for file in (trained, loaded):
        assert file.read_bytes().startswith(starts[ending])


def test_help_shows_options_defaults_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leave:
        main(["addition", "--help"])
    assert leave.value.code == 0
    text = capsys.readouterr().out
    for option in OPTIONS:
        assert option in text
    for default in ("default: 3", "default: 2", "default: lstm", "default: 128", "default: 1", "default: 45,000"):
        assert default in text
    assert "examples:" in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leave:
        main(["--version"])
    assert leave.value.code == 0
    assert capsys.readouterr().out == f"pyrnn {pyrnn.__version__}\n"


# ---- what it refuses


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "required: TASK"),
        ("subtraction", "invalid choice: 'subtraction'"),
        ("addition --digits three", "argument --digits: expected an integer, got 'three'"),
        ("addition --digits 0", "argument --digits: expected 1 or more, got 0"),
        ("addition --digits 10", "--digits: expected 1 to 9 with 2 operands, got 10"),
        ("addition --operands 4", "argument --operands: invalid choice: 4"),
        ("addition --cell cnn", "argument --cell: invalid choice: 'cnn'"),
        ("addition --hidden -1", "argument --hidden: expected 1 or more, got -1"),
        ("addition --hidden 1000000", "--hidden: expected at most 65,536, got 1,000,000"),
        ("addition --seed 4294967296", "--seed: expected 0 to 4294967295, got 4294967296"),
        ("addition --threads 5000", "--threads: "),
        ("addition --digits 2 --samples 5000", "--samples: expected 1 to 4,040 of the 5,050 sums"),
        ("addition --epochs", "argument --epochs: expected one argument"),
        ("addition --fast", "unrecognized arguments: --fast"),
        ("addition --ask 1-2", "--ask: expected a sum such as 216+648, got '1-2'"),
        ("addition --ask 1234+1", "--ask: expected 2 numbers of up to 3 digits, got '1234+1'"),
        ("addition --save nowhere/x.pyrnn", "--save: expected a file in a folder that can be written"),
        ("addition --json .", "--json: expected a file, got the folder ."),
        ("addition --plot x.doc", "--plot: expected a name that ends in one of"),
        ("addition --load x --hidden 3", "--hidden: cannot be used with --load"),
        ("addition --load x --no-reverse", "--no-reverse: cannot be used with --load"),
        ("addition --load x --batch-size 3", "--batch-size: cannot be used with --load"),
        ("addition --load x --json y", "--json: cannot be used with --load"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments.split())
    except SystemExit as leave:  # argparse leaves by itself
        code = leave.code
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert message in err
    assert err.startswith("pyrnn")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["addition", "--load", str(tmp_path / "none.pyrnn")]) == 1
    err = capsys.readouterr().err
    assert err.startswith("pyrnn addition: error: ")
    assert "none.pyrnn" in err
    assert err.count("\n") == 1


def test_a_file_that_is_no_network_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("buy milk")
    assert main(["addition", "--load", str(file)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("pyrnn addition: error: --load: ")
    assert err.count("\n") == 1


def test_a_missing_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main([*TINY, "--plot", str(tmp_path / "x.png")]) == 1
    out, err = capsys.readouterr()
    assert out == ""  # found out before training
    assert err == 'pyrnn addition: error: plots need matplotlib: pip install "pyrnn-engine[plot]"\n'


# ---- as a process


def test_process(tmp_path: Path) -> None:
    done = subprocess.run(command(*TINY), capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "of the sums are right" in done.stdout


def test_module_can_be_run(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(pyrnn.__file__).parents[1])}
    run = [sys.executable, "-m", "pyrnn.cli", "addition", "--help"]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: pyrnn addition")


def test_wrong_usage_of_the_process(tmp_path: Path) -> None:
    done = subprocess.run(
        command("addition", "--digits", "x"), capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("addition", "--epochs", "1000"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout and process.stderr
        assert "to train on" in process.stdout.readline()
        time.sleep(0.5)  # somewhere in an epoch
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        assert process.wait(timeout=30) == 130
        assert time.monotonic() - begin < 5
        error = process.stderr.read()
    assert error == "\npyrnn addition: interrupted\n"


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    with subprocess.Popen(
        command(*TINY), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=120) == 1
        assert process.stderr.read() == ""
