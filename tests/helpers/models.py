"""Small models and what they can learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyrnn import Input, Sequential
from pyrnn.layers import LSTM, Dense


def random(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def larger_of_two(n: int = 256, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Which of two steps holds the larger number."""
    x = random(n, 2, 1, seed=seed)
    return x, (x[:, 1, 0] > x[:, 0, 0]).astype(np.int64)


def running_parity(n: int = 512, steps: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """At every step, whether the number of ones so far is odd."""
    bits = np.random.default_rng(5).integers(0, 2, (n, steps, 1))
    return bits.astype(np.float32), np.cumsum(bits[..., 0], axis=1) % 2


def small(*, optimizer: Any = "adam", metrics: Any = ("accuracy",), dropout: float = 0.0) -> Sequential:
    model = Sequential([Input((2, 1)), LSTM(8, dropout=dropout), Dense(2, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy", optimizer=optimizer, metrics=list(metrics))
    return model
