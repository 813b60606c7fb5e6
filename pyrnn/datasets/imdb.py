"""Film reviews as lists of word ids, with whether they were good: 25,000 to train on and 25,000 to test."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pyrnn._types import Array


def load_data(
    path: str | PathLike[str] = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Reviews and labels: ((x_train, y_train), (x_test, y_test)); x are arrays (N,) of lists of ids.

    path: an npz file of `x_train` (all ids, one review after the other), `x_train_lengths` (N,), `y_train` (N,), and
        the same for test.
    num_words: only the most frequent words; the others become oov_char.
    skip_top: the most frequent words that become oov_char.
    maxlen: only shorter reviews.
    seed: of the shuffling.
    start_char: id that begins every review; None for none.
    oov_char: id of words left out; None leaves them out altogether.
    index_from: added to every id.

    Raises FileNotFoundError where there is no file; ValueError for Keras's own file, which holds pickled lists.

    Maas et al. 2011, Learning word vectors for sentiment analysis.
    """
    place = Path(path)
    if not place.is_file():
        raise FileNotFoundError(f"imdb: path: there is no file {place}; {_REMEDY}")
    rng = np.random.RandomState(seed)
    with np.load(place, allow_pickle=False) as file:
        parts = []
        for part in ("train", "test"):
            reviews = _reviews(file, part, place)
            labels = np.asarray(file[f"y_{part}"])
            order = np.arange(len(reviews))
            rng.shuffle(order)
            parts.append(([reviews[i] for i in order], labels[order]))
    limit = num_words
    if limit is None:
        limit = 1 + max((max(review) + index_from for reviews, _ in parts for review in reviews if review), default=0)
    made = []
    for reviews, labels in parts:
        coded = [_coded(review, start_char, oov_char, index_from, skip_top, limit) for review in reviews]
        keep = [i for i, review in enumerate(coded) if maxlen is None or len(review) < maxlen]
        x = np.empty(len(keep), object)
        for j, i in enumerate(keep):
            x[j] = coded[i]
        made.append((x, labels[keep]))
    return made[0], made[1]


def _reviews(file: Any, part: str, place: Path) -> list[list[int]]:
    name = f"x_{part}"
    if name not in file or f"{name}_lengths" not in file:
        raise ValueError(f"imdb: {place}: expected the arrays {name} and {name}_lengths; {_REMEDY}")
    ids = file[name].tolist()
    ends = np.cumsum(file[f"{name}_lengths"]).tolist()
    return [ids[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def _coded(
    review: list[int], start: int | None, oov: int | None, index_from: int, skip_top: int, limit: int
) -> list[int]:
    ids = [i + index_from for i in review]
    if start is not None:
        ids.insert(0, start)
    if oov is None:
        return [i for i in ids if skip_top <= i < limit]
    return [i if skip_top <= i < limit else oov for i in ids]


_REMEDY = (
    "pyrnn reads no pickles, which Keras's imdb.npz is made of: convert it once with NumPy (np.load(..., "
    "allow_pickle=True)) to x_train=np.concatenate(x_train), x_train_lengths=[len(x) for x in x_train], y_train, and "
    "the same for test"
)
