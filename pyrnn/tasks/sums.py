"""Sums as text: which ones there are, how they are drawn, split, written and coded.

A sum of two numbers of up to three digits reads ``"12+345 "`` and is answered by ``"357 "``: padded with spaces to
one length, and read backwards where ``reverse`` is set (Keras's recipe: the digits that matter first come last).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyrnn.data.vocabulary import Vocabulary

VOCABULARY = Vocabulary(" +0123456789")
TRAINING_SUMS = 45_000
VALIDATION_SUMS = 5_000
TEST_SUMS = 5_000

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class SumFormat:
    """What a sum looks like: ``operands`` numbers of 1 to ``digits`` digits."""

    digits: int = 3
    operands: int = 2
    reverse: bool = True

    def __post_init__(self) -> None:
        if self.operands not in (2, 3):
            raise ValueError(f"operands: expected 2 or 3, got {self.operands}")
        most = 18 // self.operands  # a sum's numbers, one after another, fit 18 digits of an int64
        if not 1 <= self.digits <= most:
            raise ValueError(f"digits: expected 1 to {most} with {self.operands} operands, got {self.digits}")

    @property
    def question_length(self) -> int:
        return self.operands * self.digits + self.operands - 1

    @property
    def answer_length(self) -> int:
        return self.digits + 1

    @property
    def distinct_sums(self) -> int:
        """How many sums there are where the order of the numbers does not count."""
        return math.comb(10**self.digits + self.operands - 1, self.operands)

    def question(self, numbers: Sequence[int]) -> str:
        return "+".join(map(str, numbers)).ljust(self.question_length)

    def answer(self, numbers: Sequence[int]) -> str:
        return str(sum(numbers)).ljust(self.answer_length)

    def parse(self, text: str) -> list[int]:
        """The numbers of ``"216+648"``; ValueError where it is no sum of this format."""
        if not re.fullmatch(r"\s*\d+(\s*\+\s*\d+)*\s*", text, re.ASCII):
            raise ValueError(f"expected a sum such as {self._example}, got {text!r}")
        numbers = [int(part) for part in text.split("+")]
        if len(numbers) != self.operands or max(numbers) >= 10**self.digits:
            raise ValueError(f"expected {self.operands} numbers of up to {self.digits} digits, got {text!r}")
        return numbers

    @property
    def _example(self) -> str:
        return "+".join(["216"[: self.digits], "648"[: self.digits], "57"[: self.digits]][: self.operands])

    def read(self, numbers: Numbers) -> NDArray[np.float32]:
        """What the network reads of sums (N, operands): one-hot characters (N, T, V)."""
        step = -1 if self.reverse else 1
        texts = [self.question(row)[::step] for row in numbers.tolist()]
        return VOCABULARY.one_hot(VOCABULARY.encode_rows(texts))

    def write(self, numbers: Numbers) -> NDArray[np.int32]:
        """What the network should write: ids (N, T) of the answers' characters."""
        return VOCABULARY.encode_rows([self.answer(row) for row in numbers.tolist()])


class Parts(NamedTuple):
    """Three parts (N, operands) of the sums drawn; no sum, in any order of its numbers, is in two of them."""

    training: Numbers
    validation: Numbers
    test: Numbers


def draw_parts(form: SumFormat, samples: int | None = None, seed: int = 1) -> Parts:
    """Draws distinct sums, each number with 1 to ``digits`` random digits, and splits them.

    samples: training sums; by default 45,000, or what there is beside a tenth each for the other two parts.

    >>> parts = draw_parts(SumFormat(digits=2))
    >>> [len(part) for part in parts]
    [4040, 505, 505]
    """
    check_samples(form, samples)
    validation, test = _held_out(form)
    training = min(TRAINING_SUMS, form.distinct_sums - validation - test) if samples is None else samples
    drawn = _draw_distinct(form, training + validation + test, np.random.default_rng(seed))
    return Parts(*np.split(drawn, [training, training + validation]))


def check_samples(form: SumFormat, samples: int | None) -> None:
    """Raises ValueError where there are fewer sums than that beside the two other parts."""
    validation, test = _held_out(form)
    most = form.distinct_sums - validation - test
    if samples is not None and not 1 <= samples <= most:
        raise ValueError(
            f"samples: expected 1 to {most:,} of the {form.distinct_sums:,} sums of {form.operands} numbers of up to "
            f"{form.digits} digits ({validation:,} validate, {test:,} test), got {samples:,}"
        )


def _held_out(form: SumFormat) -> tuple[int, int]:
    """Sums of the validation and of the test part: at most a tenth of all for each."""
    tenth = form.distinct_sums // 10
    return min(VALIDATION_SUMS, tenth), min(TEST_SUMS, tenth)


def _draw_distinct(form: SumFormat, count: int, rng: np.random.Generator) -> Numbers:
    """The first ``count`` sums (count, operands) of an endless draw, a sum seen before left out."""
    places = 10 ** (form.digits * np.arange(form.operands, dtype=np.int64))
    drawn: Numbers = np.empty((0, form.operands), np.int64)
    while len(drawn) < count:
        lengths = rng.integers(1, form.digits, (count, form.operands), endpoint=True)
        fresh = rng.integers(0, 10**lengths)
        drawn = np.concatenate([drawn, fresh])
        _, first = np.unique((np.sort(drawn, axis=1) * places).sum(axis=1), return_index=True)
        drawn = drawn[np.sort(first)]
    return drawn[:count]
