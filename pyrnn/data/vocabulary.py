"""Characters and their ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pyrnn.data import _text


class Vocabulary:
    """Character i of ``characters`` has id i.

    >>> digits = Vocabulary("0123456789")
    >>> len(digits), digits.encode("2026").tolist()
    (10, [2, 0, 2, 6])
    >>> digits.decode([4, 2])
    '42'
    """

    def __init__(self, characters: str) -> None:
        if not characters or len(set(characters)) != len(characters):
            raise ValueError(f"characters: expected distinct characters, at least one, got {characters!r}")
        self.characters = characters
        self._table = np.full(max(map(ord, characters)) + 1, -1, np.int32)
        for i, character in enumerate(characters):
            self._table[ord(character)] = i

    def __len__(self) -> int:
        return len(self.characters)

    def __repr__(self) -> str:
        return f"Vocabulary({self.characters!r})"

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids (len(text),) of the characters of ``text``; ValueError for one that is not in the vocabulary."""
        return _text.encode(text, self._table)

    def encode_rows(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Ids (len(texts), T) of texts of T characters each."""
        return _text.encode_rows(list(texts), self._table, len(texts[0]) if texts else 0)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids (T,)."""
        return "".join(self._character(int(i)) for i in ids)

    def one_hot(self, ids: NDArray[np.int32]) -> NDArray[np.float32]:
        """Rows (..., V) of zeros with a one at each of ids (...)."""
        rows: NDArray[np.float32] = np.eye(len(self), dtype=np.float32)[ids]
        return rows

    def _character(self, i: int) -> str:
        if not 0 <= i < len(self):
            raise ValueError(f"ids: expected ids from 0 to {len(self) - 1}, got {i}")
        return self.characters[i]
