"""Texts as ids, as a layer."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.data.dataset import DataArray
from pyrnn.layers.arguments import check_positive, refuse
from pyrnn.layers.base import Call, Layer

PADDING, UNKNOWN = "", "[UNK]"
_PUNCTUATION = re.compile(r"[!\"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']")
STANDARDIZE: Mapping[str | None, Callable[[str], str]] = {
    None: str,
    "lower": str.lower,
    "strip_punctuation": lambda text: _PUNCTUATION.sub("", text),
    "lower_and_strip_punctuation": lambda text: _PUNCTUATION.sub("", text.lower()),
}
SPLIT: Mapping[str | None, Callable[[str], list[str]]] = {
    None: lambda text: [text],
    "whitespace": str.split,
    "character": list,
}
MODES = ("int", "multi_hot", "count", "tf_idf")


class TextVectorization(Layer):
    """Texts -> ids of their words, or a row of how often each word is there.

    max_tokens: size of the vocabulary, padding and the unknown word included; None for all words.
    standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation" or None.
    split: "whitespace", "character" or None.
    ngrams: n for all runs of up to n words beside the words, or a tuple of lengths; None for words alone.
    output_mode: "int"; "multi_hot", "count" or "tf_idf" give a row over the vocabulary.
    output_sequence_length: T, to which ids are cut or padded; the longest text of a batch where it is not given.
    pad_to_max_tokens: rows are max_tokens wide though the vocabulary is smaller.
    vocabulary: list of words, or the path of a file with one a line, in place of `adapt`.
    idf_weights: of the words of the vocabulary, for "tf_idf".

    Input (B,) or (B, 1) texts. Output (B, T) int64: 0 is padding, 1 an unknown word; with the other modes (B, V).

    Raises ValueError where there is no vocabulary yet.

    >>> layer = TextVectorization(output_sequence_length=4)
    >>> layer.adapt(["the cat sat", "the mat"])
    >>> layer.get_vocabulary()
    ['', '[UNK]', 'the', 'sat', 'mat', 'cat']
    >>> layer(["The cat, a cat!"]).tolist()
    [[2, 5, 1, 5]]

    Keras, https://keras.io/api/layers/preprocessing_layers/text/text_vectorization/
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "max_tokens",
        "standardize",
        "split",
        "ngrams",
        "output_mode",
        "output_sequence_length",
        "pad_to_max_tokens",
        "vocabulary",
        "idf_weights",
    )
    supports_masking = False

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | None = "lower_and_strip_punctuation",
        split: str | None = "whitespace",
        ngrams: int | Sequence[int] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        kind = "TextVectorization"
        refuse(kind, {"sparse": sparse, "ragged": ragged, "encoding": encoding}, _UNSUPPORTED)
        self.max_tokens = None if max_tokens is None else check_positive(kind, "max_tokens", max_tokens)
        for argument, value, known in (
            ("standardize", standardize, tuple(STANDARDIZE)),
            ("split", split, tuple(SPLIT)),
            ("output_mode", output_mode, MODES),
        ):
            if callable(value):
                raise ValueError(
                    f"{kind}: {argument}: a function is not supported, since a file cannot hold it: apply it to the "
                    f"texts beforehand and give {argument}=None"
                )
            if value not in known:
                raise ValueError(f"{kind}: {argument}: expected one of {known}, got {value!r}")
        if output_sequence_length is not None:
            check_positive(kind, "output_sequence_length", output_sequence_length)
            if output_mode != "int":
                raise ValueError(f"{kind}: output_sequence_length: expected None with output_mode={output_mode!r}")
        if pad_to_max_tokens and (max_tokens is None or output_mode == "int"):
            raise ValueError(f"{kind}: pad_to_max_tokens: expected max_tokens and another output_mode than 'int'")
        self.standardize, self.split, self.output_mode = standardize, split, output_mode
        self.ngrams = _lengths(ngrams)
        self.output_sequence_length, self.pad_to_max_tokens = output_sequence_length, bool(pad_to_max_tokens)
        self._words: list[str] | None = None
        self._id_of: dict[str, int] = {}
        self._idf: Array | None = None
        super().__init__(**kwargs)
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    # The vocabulary -----------------------------------------------------------------------------------------------

    @property
    def vocabulary(self) -> list[str] | None:
        """The words, without padding and the unknown word; None before there are any."""
        return None if self._words is None else list(self._words)

    @property
    def idf_weights(self) -> list[float] | None:
        """Weights of the words, for "tf_idf"."""
        return None if self._idf is None else [float(w) for w in self._idf[1:]]

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary from texts: the most frequent words first.

        data: texts in a list, an array or a Dataset (of single texts or batches).
        batch_size: it makes no difference.
        steps: batches of a Dataset that are read; None for all.
        """
        words: Counter[str] = Counter()
        in_texts: Counter[str] = Counter()
        count = 0
        for i, part in enumerate([data] if isinstance(data, (str, list, tuple, np.ndarray)) else data):
            if i == steps:
                break
            for text in _texts(part):
                tokens = self._tokens(text)
                words.update(tokens)
                in_texts.update(set(tokens))
                count += 1
        for special in (PADDING, UNKNOWN):
            del words[special]
        # equal counts from the last word in the alphabet on, as Keras has it
        ordered = sorted(words, key=lambda word: (words[word], word.encode()), reverse=True)
        if self.max_tokens is not None:
            ordered = ordered[: max(0, self.max_tokens - self._specials)]
        idf = None
        if self.output_mode == "tf_idf":
            idf = [math.log(1 + count / (1 + in_texts[word])) for word in ordered]
        self.set_vocabulary(ordered, idf)

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """The words, in order; padding and the unknown word may stand in front."""
        if isinstance(vocabulary, str):
            with open(vocabulary, encoding="utf-8") as file:
                vocabulary = file.read().splitlines()
        words = [str(word) for word in vocabulary]
        for special in (PADDING, UNKNOWN):
            if words and words[0] == special:
                words = words[1:]
        if len(set(words)) != len(words):
            raise ValueError(f"{self.name}: vocabulary: expected each word once, got {_first_twice(words)!r} twice")
        if self.max_tokens is not None and len(words) + self._specials > self.max_tokens:
            raise ValueError(
                f"{self.name}: vocabulary: expected at most max_tokens={self.max_tokens} words with the special "
                f"ones, got {len(words) + self._specials}"
            )
        if self.output_mode == "tf_idf":
            if idf_weights is None or len(idf_weights) != len(words):
                raise ValueError(f"{self.name}: idf_weights: expected {len(words)} numbers for output_mode='tf_idf'")
            weights = [float(w) for w in idf_weights]
            self._idf = np.array([sum(weights) / max(len(weights), 1), *weights], self.dtype)
        elif idf_weights is not None:
            raise ValueError(f"{self.name}: idf_weights: expected None with output_mode={self.output_mode!r}")
        self._words = words
        self._id_of = {word: i + self._specials for i, word in enumerate(words)}

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The words in the order of their ids."""
        special = [PADDING, UNKNOWN][2 - self._specials :]
        return [*(special if include_special_tokens else []), *self._known()]

    def vocabulary_size(self) -> int:
        """Number of ids."""
        return len(self._known()) + self._specials

    @property
    def _specials(self) -> int:
        return 2 if self.output_mode == "int" else 1

    def _known(self) -> list[str]:
        if self._words is None:
            raise ValueError(f"{self.name}: there is no vocabulary yet: call adapt(texts) or give vocabulary=")
        return self._words

    # Use ----------------------------------------------------------------------------------------------------------

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) > 2 or (len(input_shape) == 2 and input_shape[1] not in (1, None)):
            raise ValueError(f"{self.name}: expected texts (batch,) or (batch, 1), got {tuple(input_shape)}")
        if self.output_mode == "int":
            return (input_shape[0], self.output_sequence_length)
        return (input_shape[0], self._width())

    def _width(self) -> int:
        if self.pad_to_max_tokens:
            assert self.max_tokens is not None
            return self.max_tokens
        return self.vocabulary_size()

    def check_input_shape(self, shape: Any) -> None:
        """Texts have no width."""

    def forward(self, x: Array, call: Call) -> Array:
        self._known()
        unknown = self._specials - 1
        rows = [[self._id_of.get(token, unknown) for token in self._tokens(text)] for text in _texts(x)]
        made = self._padded(rows) if self.output_mode == "int" else self._counted(rows)
        return made.view(DataArray)

    def backward(self, dy: Any, call: Call) -> None:
        return None

    def _padded(self, rows: list[list[int]]) -> Array:
        steps = self.output_sequence_length
        if steps is None:
            steps = max(map(len, rows), default=0)
        ids = np.zeros((len(rows), steps), np.int64)
        for i, row in enumerate(rows):
            part = row[:steps]
            ids[i, : len(part)] = part
        return ids

    def _counted(self, rows: list[list[int]]) -> Array:
        counts = np.zeros((len(rows), self._width()), self.dtype)
        for i, row in enumerate(rows):
            np.add.at(counts[i], row, 1)
        if self.output_mode == "multi_hot":
            np.minimum(counts, 1, out=counts)
        elif self._idf is not None:
            counts[:, : len(self._idf)] *= self._idf
        return counts

    def _tokens(self, text: str) -> list[str]:
        words = SPLIT[self.split](STANDARDIZE[self.standardize](text))
        if self.ngrams is None:
            return words
        return [" ".join(words[i : i + n]) for n in self.ngrams for i in range(len(words) - n + 1)]


def _texts(part: Any) -> Iterable[str]:
    """Texts of an array (B,) or (B, 1), a list or a single one."""
    array = np.asarray(part)
    if array.dtype.kind == "O" and not all(isinstance(x, (str, bytes)) for x in array.flat):
        raise TypeError(f"TextVectorization: expected texts, got {next(iter(array.flat))!r}")
    if array.dtype.kind not in "OSUT":
        raise TypeError(f"TextVectorization: expected texts, got {array.dtype}")
    return (x.decode() if isinstance(x, bytes) else str(x) for x in array.reshape(-1).tolist())


def _lengths(ngrams: Any) -> tuple[int, ...] | None:
    if ngrams is None:
        return None
    if isinstance(ngrams, (list, tuple)):
        return tuple(check_positive("TextVectorization", "ngrams", n) for n in ngrams)
    return tuple(range(1, check_positive("TextVectorization", "ngrams", ngrams) + 1))


def _first_twice(words: Sequence[str]) -> str:
    return next(word for i, word in enumerate(words) if word in words[:i])


_UNSUPPORTED: Mapping[str, tuple[Any, str]] = {
    "sparse": (False, "rows are dense arrays"),
    "ragged": (False, "ids are padded with 0; Embedding(mask_zero=True) skips them"),
    "encoding": ("utf-8", "decode bytes beforehand"),
}
