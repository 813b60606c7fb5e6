"""What fit takes its batches from: arrays, generators, PyDatasets, Datasets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from helpers.models import larger_of_two, small

from pyrnn import Sequential, utils
from pyrnn.callbacks import LambdaCallback
from pyrnn.data.dataset import Dataset

X, Y = larger_of_two(40)


class Batches(utils.PyDataset):
    def __init__(self, size: int = 8, **options: Any) -> None:
        super().__init__(**options)
        self.size = size
        self.asked: list[int] = []
        self.epochs = 0

    def __len__(self) -> int:
        return -(-len(X) // self.size)

    def __getitem__(self, index: int) -> Any:
        self.asked.append(index)
        piece = slice(index * self.size, (index + 1) * self.size)
        return X[piece], Y[piece]

    def on_epoch_end(self) -> None:
        self.epochs += 1


class Again:
    """An iterable that is no generator."""

    def __iter__(self) -> Iterator[Any]:
        return ((X[i : i + 8], Y[i : i + 8]) for i in range(0, len(X), 8))


def endless() -> Iterator[Any]:
    while True:
        yield from Again()


def twins() -> tuple[Sequential, Sequential]:
    first, second = small(), small()
    second.set_weights(first.get_weights())
    return first, second


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (lambda: endless(), {"steps_per_epoch": 5}),
        (lambda: Again(), {}),
        (lambda: Again(), {"steps_per_epoch": 5}),
        (lambda: Batches(), {"shuffle": False}),
        (lambda: Dataset.from_tensor_slices((X, Y)).batch(8), {}),
        (lambda: [(X, Y)][0], None),
    ],
    ids=["generator", "iterable", "iterable-steps", "pydataset", "dataset", "arrays"],
)
def test_the_same_batches_train_the_same(data: Any, options: Any) -> None:
    one, other = twins()
    expected = one.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0, validation_data=(X, Y)).history
    given = data()
    if options is None:
        got = other.fit(
            *given, 8, 3, shuffle=False, verbose=0, validation_data=Dataset.from_tensor_slices(given).batch(32)
        )
    else:
        got = other.fit(given, epochs=3, verbose=0, validation_data=(X, Y), **options)
    assert got.history == expected
    assert all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


def test_a_pydataset_is_shuffled_by_batches_and_hears_of_epochs() -> None:
    data = Batches()
    small().fit(data, epochs=3, verbose=0)
    asked = data.asked[1:]  # the first one is looked at to check shapes
    assert data.epochs == 3
    assert [sorted(asked[i : i + 5]) for i in (0, 5, 10)] == [[0, 1, 2, 3, 4]] * 3
    assert asked[:5] != asked[5:10] or asked[5:10] != asked[10:]


def test_weights_in_the_batches() -> None:
    one, other = twins()
    weights = np.linspace(0.1, 2, len(X)).astype(np.float32)
    expected = one.fit(X, Y, 8, sample_weight=weights, shuffle=False, verbose=0).history
    triples = ((X[i : i + 8], Y[i : i + 8], weights[i : i + 8]) for i in range(0, len(X), 8))
    assert other.fit(triples, verbose=0).history == expected
    one, other = twins()
    expected = one.fit(X, Y, 8, class_weight={1: 3.0}, shuffle=False, verbose=0).history
    assert other.fit(Again(), class_weight={1: 3.0}, verbose=0).history == expected


def test_evaluate_and_predict_take_batches_too() -> None:
    model = small()
    assert model.evaluate(Batches(), verbose=0) == model.evaluate(X, Y, batch_size=8, verbose=0)
    assert model.evaluate(endless(), steps=5, verbose=0) == model.evaluate(X, Y, batch_size=8, verbose=0)
    expected = model.predict(X, verbose=0)
    for data, options in ((Batches(), {}), (Again(), {}), (endless(), {"steps": 5})):
        np.testing.assert_array_equal(model.predict(data, verbose=0, **options), expected)
    np.testing.assert_array_equal(model.predict(X, batch_size=8, steps=2, verbose=0), expected[:16])


def test_a_run_ends_where_a_generator_ends() -> None:
    with pytest.warns(UserWarning, match="fit: the data end after 5 of 7 steps, and so does all of it"):
        history = small().fit(iter(Again()), epochs=4, steps_per_epoch=7, verbose=0)
    assert history.epoch == [0]
    with pytest.warns(UserWarning, match="fit: the data end after 5 of 7 steps"):
        history = small().fit(X, Y, batch_size=8, steps_per_epoch=7, epochs=2, verbose=0)
    assert history.epoch == [0, 1]


def test_steps_that_callbacks_are_told() -> None:
    told: list[Any] = []
    for data, expected in ((Batches(), 5), (Dataset.from_tensor_slices((X, Y)).batch(10), 4), (Again(), None)):
        watch = LambdaCallback()
        small().fit(data, verbose=0, callbacks=[watch])
        told.append((watch.params["steps"], expected))
    assert all(got == expected for got, expected in told), told


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.fit(endless(), epochs=2), ValueError, "fit: steps_per_epoch: expected a number with a generator"),
        (lambda m: m.fit(iter([])), ValueError, "fit: x: expected at least one batch, got none"),
        (lambda m: m.fit(Batches(), Y), ValueError, "fit: y: expected None, since x gives whole batches"),
        (lambda m: m.fit(Batches(), batch_size=3), ValueError, "fit: batch_size: expected None, since x gives"),
        (lambda m: m.fit(Batches(), sample_weight=Y), ValueError, "fit: sample_weight: expected None"),
        (lambda m: m.fit(Batches(), validation_split=0.2), ValueError, "fit: validation_split: expected 0 where x"),
        (lambda m: m.fit(iter([X, X])), ValueError, r"fit: x: expected batches \(x, y\) or"),
        (lambda m: m.fit(iter([(X, Y, Y, Y)])), ValueError, "fit: x: expected batches .*got tuple of 4"),
        (lambda m: m.evaluate(iter([])), ValueError, "evaluate: x: expected at least one batch"),
        (lambda m: m.evaluate(X, Y, steps=0), ValueError, "evaluate: steps: expected an integer >= 1"),
        (lambda m: m.predict(X, steps=-1), ValueError, "predict: steps: expected an integer >= 1"),
        (lambda m: m.fit(Batches(size=100)[0][0]), ValueError, "fit: y: expected an array, got None"),
        (lambda m: Batches(workers=2), ValueError, "Batches: workers: expected workers=1"),
        (lambda m: m.fit(Batches(), workers=2), ValueError, "fit: workers=2 is not supported: batches are made"),
        (lambda m: m.fit(Batches(), use_multiprocessing=True), ValueError, "fit: use_multiprocessing=True is not"),
    ],
)  # fmt: skip
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(small())
