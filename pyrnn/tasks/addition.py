"""The network that learns to add: it reads a sum character by character and writes the result.

An encoder reads ``"12+345 "`` into its state, a decoder repeats that vector once a place of the result and writes
``"357 "``: the network of Keras's addition example. Nobody tells it what a digit is.

Sutskever, Vinyals, Le: Sequence to Sequence Learning with Neural Networks, 2014.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyrnn import saving
from pyrnn.layers import GRU, LSTM, Dense, Input, Layer, RepeatVector, SimpleRNN
from pyrnn.models import Model, Sequential, load_model, state_of
from pyrnn.ops import Precision
from pyrnn.optimizers import Adam
from pyrnn.optimizers.schedules import CosineDecay
from pyrnn.tasks.sums import VOCABULARY, Numbers, Parts, SumFormat, check_samples, draw_parts
from pyrnn.training import EarlyStopping
from pyrnn.utils import set_random_seed

CELLS: dict[str, type[LSTM | GRU | SimpleRNN]] = {"lstm": LSTM, "gru": GRU, "rnn": SimpleRNN}
PRECISIONS: dict[str, Precision | None] = {"float32": None, "bf16": "bf16"}  # as layers know them
LEARNING_RATE = 2e-3  # falls to 0 along a cosine
MOST_UNITS = 65_536  # of a layer: its weights already take tens of gigabytes


@dataclass(frozen=True)
class Options:
    """The sums, the network and the recipe.

    digits, operands, reverse: see `SumFormat`.
    precision: "float32", or "bf16" for the recurrent layers' products.
    cell: "lstm", "gru" or "rnn"; hidden: units of each layer; layers: recurrent layers of the decoder.
    samples: training sums; None for 45,000, or as many as there are.
    seed: of the draw of the sums, the initial weights and the order of the batches.
    """

    digits: int = 3
    operands: int = 2
    reverse: bool = True
    cell: str = "lstm"
    hidden: int = 128
    layers: int = 1
    epochs: int = 25
    batch_size: int = 32
    samples: int | None = None
    seed: int = 1
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {self.cell!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        for name in ("hidden", "layers", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.hidden > MOST_UNITS:
            raise ValueError(f"hidden: expected at most {MOST_UNITS:,}, got {self.hidden:,}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed: expected 0 to {2**32 - 1}, got {self.seed}")
        check_samples(self.form, self.samples)

    @property
    def form(self) -> SumFormat:
        return SumFormat(self.digits, self.operands, self.reverse)

    def draw(self) -> Parts:
        """The sums: always the same ones for the same options."""
        return draw_parts(self.form, self.samples, self.seed)


class Score(NamedTuple):
    """Shares in [0, 1]: characters that are right, and sums that are right in all of their characters."""

    char_accuracy: float
    exact_match: float


class Workings(NamedTuple):
    """The network at work on one sum: the hidden states (steps, H) after each character read and written."""

    sum: str
    read: str
    written: str
    encoder: NDArray[np.float32]
    decoder: NDArray[np.float32]


def build_model(options: Options) -> Sequential:
    """Encoder, repeated vector, decoder, and a softmax over the characters at each place of the result.

    >>> build_model(Options()).count_params()
    205324
    """
    recurrent, form, precision = CELLS[options.cell], options.form, PRECISIONS[options.precision]
    model = Sequential([Input((form.question_length, len(VOCABULARY)))])
    model.add(recurrent(options.hidden, precision=precision))
    model.add(RepeatVector(form.answer_length))
    for _ in range(options.layers):
        model.add(recurrent(options.hidden, return_sequences=True, precision=precision))
    model.add(Dense(len(VOCABULARY), activation="softmax"))
    return model


class Adder:
    """A network together with the format of the sums that it reads."""

    def __init__(self, options: Options, model: Model) -> None:
        self.options = options
        self.model = model

    def add(self, text: str) -> str:
        """What the network answers to ``"216+648"``."""
        return self.answers(np.array([self.options.form.parse(text)]))[0]

    def answers(self, numbers: Numbers) -> list[str]:
        """What the network answers to sums (N, operands)."""
        return [VOCABULARY.decode(ids).strip() for ids in self._written(numbers)]

    def score(self, numbers: Numbers) -> Score:
        """How much of the answers to sums (N, operands) is right."""
        right = self._written(numbers) == self.options.form.write(numbers)
        return Score(float(right.mean()), float(right.all(axis=1).mean()))

    def workings(self, text: str) -> Workings:
        """The hidden states of the encoder and of the decoder's last layer along the characters of a sum."""
        numbers = np.array([self.options.form.parse(text)])
        x = self.options.form.read(numbers)
        encoder, *decoder = (layer for layer in self.model.layers if isinstance(layer, CELLS[self.options.cell]))
        encoder_states = _every_step_of(encoder, x)
        states = np.repeat(encoder_states[:, -1:], self.options.form.answer_length, axis=1)
        for layer in decoder:
            states = layer(states)
        read = VOCABULARY.decode(x[0].argmax(axis=-1))
        written = VOCABULARY.decode(self._written(numbers)[0])
        return Workings(text, read, written, encoder_states[0], states[0])

    def save(self, file: str | PathLike[str]) -> None:
        """Writes the network and its options; the file is a model that `pyrnn.load_model` reads too."""
        config, tensors = state_of(self.model)
        saving.write(file, {**config, "addition": asdict(self.options)}, tensors)

    @classmethod
    def load(cls, file: str | PathLike[str]) -> Adder:
        """Reads what `save` wrote; ValueError where the file is damaged or something else."""
        config, _ = saving.read(file)
        model = load_model(file)
        try:
            options = Options(**config["addition"])
            fits = model.input_shape == build_model(options).input_shape and len(model.layers) == options.layers + 3
        except (KeyError, TypeError, ValueError):
            fits = False
        if not fits:
            raise ValueError(f"{fspath(file)}: expected a network of the addition task")
        return cls(options, model)

    def _written(self, numbers: Numbers) -> NDArray[np.intp]:
        """Ids (N, T) of the characters that the network writes."""
        probabilities = self.model.predict(self.options.form.read(numbers), batch_size=512, verbose=0)
        ids: NDArray[np.intp] = probabilities.argmax(axis=-1)
        return ids


class Training(NamedTuple):
    """What `train` returns. The score is that of the test part, which nothing else has seen."""

    adder: Adder
    history: dict[str, list[float]]
    score: Score
    seconds: float

    def metrics(self) -> dict[str, float]:
        """The figures that ``pyrnn addition --json`` writes."""
        return {**self.score._asdict(), "epochs": len(self.history["loss"]), "seconds": round(self.seconds, 3)}


def train(options: Options | None = None, *, verbose: int | str = "auto") -> Training:
    """Draws the sums, trains a network on the training part, keeps its best epoch on the validation part.

    verbose: as in `fit`.

    >>> adder = train(Options(digits=1, hidden=8, epochs=1), verbose=0).adder
    >>> len(adder.add("3+4")) <= 2
    True
    """
    options = Options() if options is None else options
    begin = time.perf_counter()
    parts, form = options.draw(), options.form
    set_random_seed(options.seed)
    model = build_model(options)
    steps = math.ceil(len(parts.training) / options.batch_size) * options.epochs
    model.compile(
        loss="sparse_categorical_crossentropy",
        optimizer=Adam(CosineDecay(LEARNING_RATE, steps)),
        metrics=["accuracy", "exact_match"],
    )
    best = EarlyStopping("val_exact_match", patience=options.epochs, restore_best_weights=True)
    log = model.fit(
        form.read(parts.training),
        form.write(parts.training),
        batch_size=options.batch_size,
        epochs=options.epochs,
        validation_data=(form.read(parts.validation), form.write(parts.validation)),
        callbacks=[best],
        verbose=verbose,
    )
    adder = Adder(options, model)
    return Training(adder, log.history, adder.score(parts.test), time.perf_counter() - begin)


def _every_step_of(layer: Layer, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The outputs (B, T, H) of a recurrent layer that itself returns the last one only."""
    probe = type(layer).from_config({**layer.get_config(), "return_sequences": True})
    probe.build((None, *x.shape[1:]))
    probe.set_weights(layer.get_weights())
    states: NDArray[np.float32] = probe(x)
    return states
