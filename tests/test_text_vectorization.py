"""Texts as ids: vocabulary, padding, the other output modes, as a layer of a model, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyrnn
from pyrnn import Input, Model
from pyrnn.data import Dataset
from pyrnn.layers import LSTM, Dense, Embedding, TextVectorization

TEXTS = ["The cat sat.", "the cat, the MAT!", "don't sit"]


def adapted(**options: Any) -> TextVectorization:
    layer = TextVectorization(**options)
    layer.adapt(TEXTS)
    return layer


def test_the_most_frequent_words_come_first_and_equals_backwards() -> None:
    layer = adapted()
    assert layer.get_vocabulary() == ["", "[UNK]", "the", "cat", "sit", "sat", "mat", "dont"]
    assert layer.get_vocabulary(include_special_tokens=False)[0] == "the"
    assert layer.vocabulary_size() == 8
    assert adapted(max_tokens=4).get_vocabulary() == ["", "[UNK]", "the", "cat"]


@pytest.mark.parametrize(
    "data",
    [
        TEXTS,
        np.array(TEXTS),
        np.array([[text] for text in TEXTS]),
        np.array(TEXTS, object),
        Dataset.from_tensor_slices(TEXTS),
        Dataset.from_tensor_slices(TEXTS).batch(2),
    ],
    ids=["list", "array", "column", "objects", "dataset", "batches"],
)
def test_texts_come_in_many_forms(data: Any) -> None:
    layer = TextVectorization()
    layer.adapt(data)
    assert layer.get_vocabulary() == adapted().get_vocabulary()


def test_ids_are_padded_or_cut() -> None:
    assert adapted()(["the dog", "mat"]).tolist() == [[2, 1], [6, 0]]
    layer = adapted(output_sequence_length=3)
    ids = layer(np.array([["the dog"], ["sat sat sat sat"]]))
    assert ids.numpy().tolist() == [[2, 1, 0], [5, 5, 5]]
    assert ids.dtype == np.int64
    assert adapted()([""]).shape == (1, 0)


@pytest.mark.parametrize(
    ("options", "text", "tokens"),
    [
        ({"standardize": None}, "The the", ["The", "the"]),
        ({"standardize": "lower"}, "It's", ["it's"]),
        ({"standardize": "strip_punctuation"}, "It's", ["Its"]),
        ({"split": "character"}, "aB", ["a", "b"]),
        ({"split": None}, "a b", ["a b"]),
        ({"ngrams": 2}, "a b c", ["a", "b", "c", "a b", "b c"]),
        ({"ngrams": (2,)}, "a b c", ["a b", "b c"]),
    ],
)
def test_how_texts_are_taken_apart(options: dict[str, Any], text: str, tokens: list[str]) -> None:
    layer = TextVectorization(vocabulary=sorted(set(tokens)), **options)
    assert [layer.get_vocabulary()[i] for i in layer([text])[0]] == tokens


def test_rows_over_the_vocabulary() -> None:
    text = ["the the cat dog"]
    assert adapted(output_mode="count")(text).tolist() == [[1, 2, 1, 0, 0, 0, 0]]
    assert adapted(output_mode="multi_hot")(text).tolist() == [[1, 1, 1, 0, 0, 0, 0]]
    assert adapted(output_mode="count", max_tokens=9, pad_to_max_tokens=True)(text).shape == (1, 9)
    layer = adapted(output_mode="tf_idf")
    the = np.log(1 + 3 / (1 + 2))
    np.testing.assert_allclose(layer(text)[0, 1], 2 * the, rtol=1e-6)
    np.testing.assert_allclose(layer(text)[0, 0], np.mean(layer.idf_weights), rtol=1e-6)


def test_a_model_of_texts_and_its_file(tmp_path: Path) -> None:
    vectorizer = adapted(output_sequence_length=4)
    words = Input((4,), dtype="int32")
    model = Model(words, Dense(2, activation="softmax")(LSTM(3)(Embedding(8, 5, mask_zero=True)(words))))
    texts = Input((1,), dtype="string")
    whole = Model(texts, model(vectorizer(texts)))
    expected = model(np.asarray(vectorizer(TEXTS)))
    assert np.array_equal(whole(np.array(TEXTS)[:, None]), expected)
    whole.save(tmp_path / "m.pyrnn")
    assert np.array_equal(pyrnn.load_model(tmp_path / "m.pyrnn")(np.array(TEXTS)[:, None]), expected)


def test_a_vocabulary_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("b\na\n")
    layer = TextVectorization(vocabulary=str(tmp_path / "words.txt"))
    assert layer(["a b c"]).tolist() == [[3, 2, 1]]
    assert TextVectorization(vocabulary=["", "[UNK]", "b"])(["b"]).tolist() == [[2]]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: TextVectorization()(["a"]), ValueError, "there is no vocabulary yet: call adapt"),
        (lambda: TextVectorization(standardize="upper"), ValueError, "standardize: expected one of"),
        (lambda: TextVectorization(standardize=str.upper), ValueError, "standardize: a function is not supported"),
        (lambda: TextVectorization(split="word"), ValueError, "split: expected one of"),
        (lambda: TextVectorization(output_mode="one_hot"), ValueError, "output_mode: expected one of"),
        (lambda: TextVectorization(ragged=True), ValueError, "ragged=True is not supported: ids are padded"),
        (lambda: TextVectorization(sparse=True), ValueError, "sparse=True is not supported"),
        (lambda: TextVectorization(max_tokens=0), ValueError, "max_tokens: expected an integer >= 1, got 0"),
        (lambda: TextVectorization(ngrams=0), ValueError, "ngrams: expected an integer >= 1"),
        (lambda: TextVectorization(pad_to_max_tokens=True), ValueError, "pad_to_max_tokens: expected max_tokens"),
        (lambda: TextVectorization(vocabulary=["a", "a"]), ValueError, "each word once, got 'a' twice"),
        (lambda: TextVectorization(2, vocabulary=["a"]), ValueError, "at most max_tokens=2 words"),
        (lambda: TextVectorization(output_mode="tf_idf", vocabulary=["a"]), ValueError, "idf_weights: expected 1"),
        (lambda: TextVectorization(vocabulary=["a"], idf_weights=[1]), ValueError, "idf_weights: expected None"),
        (lambda: adapted()(np.zeros((2, 1))), TypeError, "expected texts, got float64"),
        (lambda: adapted()(np.array([["a", "b"]])), ValueError, r"expected texts \(batch,\) or \(batch, 1\)"),
        (
            lambda: TextVectorization(output_mode="count", output_sequence_length=3),
            ValueError,
            "output_sequence_length: expected None",
        ),
    ],
)
def test_refusals(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
