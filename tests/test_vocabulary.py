"""Characters to ids and back."""

import numpy as np
import pytest

from pyrnn.data.vocabulary import Vocabulary

GREEK = Vocabulary("αβγ z𝄞")  # code points of one, two and four bytes


def test_encode_and_decode() -> None:
    ids = GREEK.encode("𝄞 γα")
    assert ids.tolist() == [5, 3, 2, 0]
    assert ids.dtype == np.int32
    assert GREEK.decode(ids) == "𝄞 γα"
    assert GREEK.encode("").shape == (0,)


def test_rows() -> None:
    rows = GREEK.encode_rows(["αβ", "z "])
    assert rows.tolist() == [[0, 1], [4, 3]]
    assert GREEK.encode_rows([]).shape == (0, 0)
    assert GREEK.one_hot(rows).argmax(axis=-1).tolist() == rows.tolist()
    assert GREEK.one_hot(rows).sum() == 4


@pytest.mark.parametrize("character", ["δ", "a", "\0", "\U0010ffff"], ids=ascii)
def test_an_unknown_character_is_named(character: str) -> None:
    with pytest.raises(ValueError, match=r"^text: expected characters of the vocabulary, got .* at 1 of") as error:
        GREEK.encode("α" + character)
    assert repr(character) in str(error.value)


def test_texts_of_different_lengths() -> None:
    with pytest.raises(ValueError, match=r"^texts: expected 2 characters in each, got 1 in 'z'"):
        GREEK.encode_rows(["αβ", "z"])


@pytest.mark.parametrize("bad", [-1, 6])
def test_an_id_outside_the_vocabulary(bad: int) -> None:
    with pytest.raises(ValueError, match=f"^ids: expected ids from 0 to 5, got {bad}"):
        GREEK.decode([bad])


@pytest.mark.parametrize("bad", ["", "abca"])
def test_characters_must_be_distinct(bad: str) -> None:
    with pytest.raises(ValueError, match="^characters: expected distinct characters"):
        Vocabulary(bad)


@pytest.mark.parametrize("bad", [None, 7, b"ab", ["α", None]], ids=repr)
def test_what_is_no_text(bad: object) -> None:
    with pytest.raises(TypeError):
        GREEK.encode_rows(bad) if isinstance(bad, list) else GREEK.encode(bad)  # type: ignore[arg-type]
