"""The addition task: its sums, its network, and that it learns."""

from pathlib import Path

import numpy as np
import pytest

from pyrnn.tasks.addition import Adder, Options, Training, build_model, train
from pyrnn.tasks.sums import VOCABULARY, SumFormat, draw_parts

PNG = b"\x89PNG\r\n\x1a\n"


# ---- the sums


def unordered(numbers: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(sorted(row)) for row in numbers.tolist()]


def test_parts_at_the_defaults() -> None:
    parts = Options().draw()
    assert [part.shape for part in parts] == [(45_000, 2), (5_000, 2), (5_000, 2)]


@pytest.mark.parametrize(
    ("digits", "operands", "samples"),
    [(1, 2, None), (2, 2, None), (2, 2, 1000), (3, 2, None), (1, 3, None), (3, 3, 2000), (9, 2, 500), (6, 3, 500)],
)
def test_no_sum_is_in_two_parts(digits: int, operands: int, samples: int | None) -> None:
    form = SumFormat(digits, operands)
    parts = draw_parts(form, samples, seed=5)
    drawn = [key for part in parts for key in unordered(part)]
    assert len(set(drawn)) == len(drawn) == sum(map(len, parts))
    assert samples is None or len(parts.training) == samples
    assert min(map(len, parts)) >= 1
    numbers = np.concatenate(parts)
    assert numbers.min() >= 0
    assert numbers.max() < 10**digits


def test_small_formats_are_drawn_whole() -> None:
    parts = draw_parts(SumFormat(digits=1))
    assert {key for part in parts for key in unordered(part)} == {(a, b) for b in range(10) for a in range(b + 1)}


def test_a_seed_draws_the_same_sums_again() -> None:
    first, again, other = (draw_parts(SumFormat(), 100, seed).training for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_length_is_as_frequent() -> None:
    """As Keras draws: first how many digits, then the digits. Nine in ten uniform numbers would have nine digits."""
    numbers = draw_parts(SumFormat(digits=9), 1, seed=3).test.ravel()
    lengths = [np.mean((numbers >= 10**n) & (numbers < 10 ** (n + 1))) for n in range(1, 9)]
    assert lengths == pytest.approx([1 / 9] * 8, abs=0.02)


def test_text_and_codes() -> None:
    form = SumFormat(digits=3)
    assert (form.question([12, 345]), form.answer([12, 345])) == ("12+345 ", "357 ")
    read, written = form.read(np.array([[12, 345]])), form.write(np.array([[12, 345]]))
    assert read.shape == (1, 7, 12)
    assert read.dtype == np.float32
    assert VOCABULARY.decode(read[0].argmax(axis=-1)) == " 543+21"
    assert VOCABULARY.decode(written[0]) == "357 "
    forwards = SumFormat(digits=3, reverse=False).read(np.array([[12, 345]]))
    assert np.array_equal(forwards, read[:, ::-1])


def test_the_longest_sums_fit() -> None:
    for form in (SumFormat(3, 2), SumFormat(3, 3), SumFormat(9, 2), SumFormat(6, 3)):
        largest = [10**form.digits - 1] * form.operands
        assert len(form.question(largest)) == form.question_length
        assert len(form.answer(largest)) == form.answer_length


@pytest.mark.parametrize("text", ["216+648", " 216 + 648 ", "0+0", "007+1"])
def test_parse(text: str) -> None:
    assert sum(SumFormat().parse(text)) == eval(text.replace("007", "7"))


@pytest.mark.parametrize("text", ["", "216", "216+", "2+1+3", "1234+1", "-1+2", "1.5+2", "a+b", "٣+1"])
def test_what_is_no_sum(text: str) -> None:
    with pytest.raises(ValueError, match="^expected "):
        SumFormat().parse(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"digits": 0}, "digits: expected 1 to 9 with 2 operands, got 0"),
        ({"digits": 7, "operands": 3}, "digits: expected 1 to 6 with 3 operands, got 7"),
        ({"operands": 4}, "operands: expected 2 or 3, got 4"),
        ({"cell": "cnn"}, "cell: expected one of lstm, gru, rnn, got 'cnn'"),
        ({"hidden": 0}, "hidden: expected at least 1, got 0"),
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"hidden": 10**9}, "hidden: expected at most 65,536, got 1,000,000,000"),
        ({"seed": -1}, "seed: expected 0 to 4294967295, got -1"),
        ({"samples": 0}, "samples: expected 1 to 490,500 of the 500,500 sums"),
        ({"digits": 2, "samples": 5000}, "samples: expected 1 to 4,040 of the 5,050 sums"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as error:
        Options(**options)  # type: ignore[arg-type]
    assert str(error.value).startswith(message)


# ---- the network


def test_parameter_count() -> None:
    """Keras's network: 72,192 in the encoder, 131,584 in the decoder, 1,548 in the softmax."""
    assert build_model(Options()).count_params() == 205_324


@pytest.mark.parametrize(("cell", "gates", "biases"), [("lstm", 4, 1), ("gru", 3, 2), ("rnn", 1, 1)])
def test_parameter_count_of_every_cell(cell: str, gates: int, biases: int) -> None:
    h, v = 16, len(VOCABULARY)
    layers = [gates * h * (v + h + biases), 2 * gates * h * (h + h + biases), (h + 1) * v]
    assert build_model(Options(cell=cell, hidden=h, layers=2)).count_params() == sum(layers)


@pytest.fixture(scope="module")
def small() -> Training:
    """A minute of learning in a few seconds: all sums of two digits."""
    return train(Options(digits=2, hidden=64, epochs=60, seed=2), verbose=0)


def test_it_learns_to_add(small: Training) -> None:
    """Sums it has never seen; guessing the most frequent answer is right in 2 % of them."""
    assert small.score.exact_match > 0.7
    assert small.score.char_accuracy > small.score.exact_match
    assert small.history["loss"][-1] < 0.2 * small.history["loss"][0]
    assert small.metrics() == {**small.score._asdict(), "epochs": 60, "seconds": round(small.seconds, 3)}


def test_the_weights_are_those_of_the_best_epoch(small: Training) -> None:
    validation = small.adder.options.draw().validation
    assert small.adder.score(validation).exact_match == pytest.approx(max(small.history["val_exact_match"]))


def test_score_counts_characters_and_whole_sums(small: Training) -> None:
    test = small.adder.options.draw().test
    form = small.adder.options.form
    answers = [answer.ljust(form.answer_length) for answer in small.adder.answers(test)]
    expected = [form.answer(row) for row in test.tolist()]
    characters = np.mean([a == b for a, b in zip("".join(answers), "".join(expected), strict=True)])
    whole = np.mean([text == wanted for text, wanted in zip(answers, expected, strict=True)])
    assert small.score == small.adder.score(test) == pytest.approx((characters, whole))


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_seed_repeats_a_run_to_the_bit_at_any_thread_count(cell: str) -> None:
    import pyrnn

    options = Options(cell=cell, hidden=16, epochs=2, samples=300, seed=4)
    threads = pyrnn.get_num_threads()
    runs = []
    for n in (1, 2):
        pyrnn.set_num_threads(n)
        runs.append(train(options, verbose=0))
    pyrnn.set_num_threads(threads)
    assert runs[0].history == runs[1].history
    first, second = (run.adder.model.get_weights() for run in runs)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    other = train(Options(cell=cell, hidden=16, epochs=2, samples=300, seed=5), verbose=0)
    assert other.history != runs[0].history


def test_save_and_load(small: Training, tmp_path: Path) -> None:
    small.adder.save(tmp_path / "two.pyrnn")
    loaded = Adder.load(tmp_path / "two.pyrnn")
    assert loaded.options == small.adder.options
    assert loaded.add("21+64") == small.adder.add("21+64")
    assert loaded.score(loaded.options.draw().test) == small.score


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    build_model(Options(hidden=4)).save(tmp_path / "model.pyrnn")
    with pytest.raises(ValueError, match="expected a network of the addition task"):
        Adder.load(tmp_path / "model.pyrnn")


# ---- seeing it at work


def test_workings_are_the_states_behind_the_answer(small: Training) -> None:
    work = small.adder.workings("7+15")
    assert (work.sum, work.read, work.written.strip()) == ("7+15", " 51+7", small.adder.add("7+15"))
    assert (work.encoder.shape, work.decoder.shape) == ((5, 64), (3, 64))
    kernel, bias = small.adder.model.get_weights()[-2:]
    logits = work.decoder @ kernel + bias
    assert VOCABULARY.decode(logits.argmax(axis=-1)) == work.written


def test_plots_are_pictures(small: Training, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    from pyrnn.tasks.addition_plot import save_plot

    work = small.adder.workings("7+15")
    for name, history in [("with.png", small.history), ("without.png", None)]:
        save_plot(tmp_path / name, work, history)
        content = (tmp_path / name).read_bytes()
        assert content.startswith(PNG)
        assert content.endswith(b"IEND\xaeB`\x82")
        assert len(content) > 20_000
    import matplotlib.image

    picture = matplotlib.image.imread(tmp_path / "with.png")
    assert picture.shape[0] > 600 < picture.shape[1]
    assert picture[..., :3].std() > 0.1  # not a blank page
