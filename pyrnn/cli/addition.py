"""`pyrnn addition`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyrnn.cli.parser import Parser, UsageError, at_least

if TYPE_CHECKING:
    from pyrnn.tasks.addition import Adder, Options

_EXAMPLES = """\
examples:
  pyrnn addition                                        train, then show unseen sums
  pyrnn addition --cell gru --plot adding.png           draw the learning curve and the hidden states
  pyrnn addition --digits 2 --epochs 60 --save two.pyrnn
  pyrnn addition --ask 21+64 --load two.pyrnn           answer one sum
"""
_SHOWN_SUMS = 10


def add_parser(tasks: Any) -> None:
    """Adds `addition` to the subparsers of `pyrnn`."""
    from pyrnn.tasks.addition import CELLS, PRECISIONS, Options
    from pyrnn.tasks.sums import TRAINING_SUMS

    defaults = Options()
    parser: Parser = tasks.add_parser(
        "addition",
        help="a network that learns to add",
        description="Trains an encoder-decoder network to read a sum such as 216+648 as text and to write its result.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sums = parser.add_argument_group("sums")
    sums.add_argument("--digits", type=at_least(1), metavar="N", help=f"of each number (default: {defaults.digits})")
    sums.add_argument("--operands", type=int, choices=(2, 3), help=f"numbers of a sum (default: {defaults.operands})")
    sums.add_argument(
        "--no-reverse",
        dest="reverse",
        action="store_const",
        const=False,
        help="read sums from the left (default: from the right)",
    )
    sums.add_argument(
        "--samples", type=at_least(1), metavar="N", help=f"training sums (default: {TRAINING_SUMS:,}, or all there are)"
    )
    network = parser.add_argument_group("network")
    network.add_argument("--cell", choices=list(CELLS), help=f"recurrent layer (default: {defaults.cell})")
    network.add_argument("--hidden", type=at_least(1), metavar="N", help=f"units (default: {defaults.hidden})")
    network.add_argument(
        "--layers", type=at_least(1), metavar="N", help=f"recurrent layers of the decoder (default: {defaults.layers})"
    )
    network.add_argument(
        "--precision", choices=list(PRECISIONS), help=f"of its products (default: {defaults.precision})"
    )
    recipe = parser.add_argument_group("training")
    recipe.add_argument("--epochs", type=at_least(1), metavar="N", help=f"(default: {defaults.epochs})")
    recipe.add_argument("--batch-size", type=at_least(1), metavar="N", help=f"sums (default: {defaults.batch_size})")
    recipe.add_argument("--seed", type=at_least(0), metavar="N", help=f"of all chance (default: {defaults.seed})")
    parser.add_argument("--threads", type=at_least(1), metavar="N", help="at most (default: the CPUs of this process)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the trained network")
    parser.add_argument("--load", type=Path, metavar="FILE", help="use a saved network instead of training one")
    parser.add_argument("--ask", metavar="SUM", help="show the answer to one sum instead of a table")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the learning curve and the hidden states")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the final metrics")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:
    """Trains a network or loads one, then shows, writes and draws what was asked for."""
    import pyrnn
    from pyrnn.tasks.addition import train

    if given.threads is not None:
        try:
            pyrnn.set_num_threads(given.threads)
        except ValueError as error:
            raise UsageError(f"--threads: {str(error).removeprefix('n: ')}") from None
    history = None
    if given.load is not None:
        _refuse_with_load(given)
        adder = _load(given.load)
        _check_before_work(given, adder.options)
    else:
        options = _options(given)
        _check_before_work(given, options)
        _announce(options)
        training = train(options, verbose=1)
        adder, history = training.adder, training.history
        if given.json is not None:
            _write_json(given.json, training.metrics())
        if given.save is not None:
            adder.save(given.save)

    if given.ask is not None:
        _show([adder.options.form.parse(given.ask)], adder)
    else:
        _show_unseen(adder)
    if given.plot is not None:
        from pyrnn.tasks.addition_plot import save_plot

        question = given.ask or "+".join(map(str, adder.options.draw().test[0]))
        save_plot(given.plot, adder.workings(question), history)


def _announce(options: Options) -> None:
    import pyrnn

    training, validation, test = map(len, options.draw())
    threads = pyrnn.get_num_threads()
    units = f"{options.hidden} units" + (f" in {options.precision}" if options.precision != "float32" else "")
    print(
        f"{training:,} sums to train on, {validation:,} to validate, {test:,} to test; {options.cell} with "
        f"{units}; {threads} thread{'s' if threads > 1 else ''}",
        flush=True,
    )


def _given_options(given: argparse.Namespace) -> dict[str, Any]:
    from pyrnn.tasks.addition import Options

    names = [field.name for field in fields(Options)]
    return {name: getattr(given, name) for name in names if getattr(given, name) is not None}


def _options(given: argparse.Namespace) -> Options:
    from pyrnn.tasks.addition import Options

    try:
        return Options(**_given_options(given))
    except ValueError as error:
        raise UsageError(f"--{error}") from None


def _refuse_with_load(given: argparse.Namespace) -> None:
    refused = [*_given_options(given), *(name for name in ("save", "json") if getattr(given, name) is not None)]
    if refused:
        option = "--no-reverse" if refused[0] == "reverse" else f"--{refused[0].replace('_', '-')}"
        raise UsageError(f"{option}: cannot be used with --load, which trains nothing")


def _load(file: Path) -> Adder:
    from pyrnn.tasks.addition import Adder

    try:
        return Adder.load(file)
    except ValueError as error:
        raise UsageError(f"--load: {error}") from None


def _check_before_work(given: argparse.Namespace, options: Options) -> None:
    """Finds out now what would fail after a minute of training."""
    if given.ask is not None:
        try:
            options.form.parse(given.ask)
        except ValueError as error:
            raise UsageError(f"--ask: {error}") from None
    for name in ("save", "json", "plot"):
        file = getattr(given, name)
        if file is not None and not (file.parent.is_dir() and os.access(file.parent, os.W_OK)):
            raise UsageError(f"--{name}: expected a file in a folder that can be written, got {file}")
        if file is not None and file.is_dir():
            raise UsageError(f"--{name}: expected a file, got the folder {file}")
    if given.plot is not None:
        from pyrnn.tasks.addition_plot import plot_formats

        known = plot_formats()
        if given.plot.suffix[1:].lower() not in known:
            raise UsageError(f"--plot: expected a name that ends in one of .{', .'.join(known)}, got {given.plot}")


def _write_json(file: Path, metrics: dict[str, float]) -> None:
    file.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def _show_unseen(adder: Adder) -> None:
    """A table of sums of the test part, and the score on all of it."""
    test = adder.options.draw().test
    print(f"\nsums it has never seen, the first {min(_SHOWN_SUMS, len(test))} of {len(test):,}:")
    _show(test[:_SHOWN_SUMS].tolist(), adder)
    score = adder.score(test)
    print(f"{score.char_accuracy:.2%} of the characters and {score.exact_match:.2%} of the sums are right")


def _show(sums: Sequence[Sequence[int]], adder: Adder) -> None:
    """One line a sum: the network's answer, and whether it is right."""
    form = adder.options.form
    for numbers, answer in zip(sums, adder.answers(np.array(sums)), strict=True):
        expected = str(sum(numbers))
        verdict = "right" if answer == expected else f"wrong, it is {expected}"
        question = "+".join(map(str, numbers))
        print(f"  {question:>{form.question_length}} = {answer:<{form.answer_length}}  {verdict}")
