"""Whole training steps, pyrnn and PyTorch in turn on the same batches from the same weights.

addition: an epoch of Keras's addition network through `fit`. char-rnn: steps of a character model that carries its
state in stateful layers. Both with Adam, whose step is PyTorch's fused one there.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from timing import pause_until_quiet

from pyrnn import Sequential, layers, losses, optimizers
from pyrnn.tasks.addition import Options, build_model
from pyrnn.utils import set_random_seed

Finding = dict[str, Any]
Loop = Callable[[], float]  # does the work and returns the first batch's loss
RATE, EPSILON = 1e-3, 1e-7
# The losses of the first batches, from the same weights: sums of a few hundred terms.
LOSS_TOLERANCE = 1e-4
SUMS, BATCH = 45_000, 32
VOCABULARY, EMBEDDING, UNITS, T, B, CLIP = 65, 64, 512, 50, 50, 5.0
CHAR_STEPS = 4  # a round


def addition(threads: int, with_torch: bool, rounds: int) -> Finding:
    """Seconds of an epoch."""
    set_random_seed(1)
    options = Options(samples=SUMS)
    numbers = options.draw().training
    x, y = options.form.read(numbers), options.form.write(numbers)
    model = build_model(options)
    model.compile(loss="sparse_categorical_crossentropy", optimizer=optimizers.Adam(RATE, epsilon=EPSILON))
    weights = model.get_weights()
    own_losses = [model.train_on_batch(x[i : i + BATCH], y[i : i + BATCH]) for i in (0, BATCH)]

    def epoch() -> None:
        model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)

    loops: dict[str, Callable[[], Any]] = {"pyrnn": epoch}
    their_losses = {}
    if with_torch:
        from torch_steps import Addition

        peer = Addition(weights, options.form.answer_length, threads, RATE, EPSILON)
        their_losses["torch"] = [peer.epoch(x[i : i + BATCH], y[i : i + BATCH], BATCH) for i in (0, BATCH)]
        loops["torch"] = lambda: peer.epoch(x, y, BATCH)
    seconds = seconds_in_turn(loops, min(rounds, 3))
    return {"unit": f"s an epoch of {SUMS:,}", "value": seconds, "wrong": differing(own_losses, their_losses)}


def char_rnn(threads: int, with_torch: bool, rounds: int) -> Finding:
    """Characters a second."""
    set_random_seed(1)
    rng = np.random.default_rng(3)
    ids = rng.integers(0, VOCABULARY, (B, (CHAR_STEPS + 1) * T + 1))
    batches = [(ids[:, i : i + T], ids[:, i + 1 : i + T + 1]) for i in range(0, CHAR_STEPS * T, T)]
    model = CharModel()
    weights = model.weights()
    own_losses = [model.step(*batch) for batch in batches[:2]]
    loops: dict[str, Callable[[], Any]] = {"pyrnn": lambda: [model.step(*batch) for batch in batches]}
    their_losses = {}
    if with_torch:
        from torch_steps import CharRnn

        peer = CharRnn(weights, threads, RATE, EPSILON, CLIP, B)
        their_losses["torch"] = [peer.step(*batch) for batch in batches[:2]]
        loops["torch"] = lambda: [peer.step(*batch) for batch in batches]
    seconds = seconds_in_turn(loops, rounds)
    value = {name: CHAR_STEPS * T * B / s for name, s in seconds.items()}
    return {"unit": "characters a second", "value": value, "wrong": differing(own_losses, their_losses)}


STEPS: dict[str, Callable[[int, bool, int], Finding]] = {"addition": addition, "char-rnn": char_rnn}


class CharModel:
    """Embedding 64, two LSTMs of 512, Dense; the states go from batch to batch, gradients do not."""

    def __init__(self) -> None:
        self.model = Sequential(
            [
                layers.Input(batch_shape=(B, T), dtype="int32"),
                layers.Embedding(VOCABULARY, EMBEDDING),
                layers.LSTM(UNITS, return_sequences=True, stateful=True),
                layers.LSTM(UNITS, return_sequences=True, stateful=True),
                layers.Dense(VOCABULARY),
            ]
        )
        loss = losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(loss=loss, optimizer=optimizers.Adam(RATE, epsilon=EPSILON, global_clipnorm=CLIP))

    def weights(self) -> list[NDArray[Any]]:
        return self.model.get_weights()

    def step(self, ids: NDArray[Any], targets: NDArray[Any]) -> float:
        return float(self.model.train_on_batch(ids, targets))


def seconds_in_turn(loops: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The median; each has run before, on the first batches."""
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            pause_until_quiet()
            start = time.perf_counter()
            loop()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def differing(own: list[float], theirs: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """The peers whose first losses differ by more than the tolerance, as shares of it."""
    shares = {
        name: {f"loss[{i}]": abs(own[i] - loss) / (LOSS_TOLERANCE * abs(loss)) for i, loss in enumerate(their)}
        for name, their in theirs.items()
    }
    return {name: s for name, s in shares.items() if not all(value <= 1 for value in s.values())}
