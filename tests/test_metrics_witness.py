"""Metrics beside Keras's and scikit-learn's, with weights and masks, and their state."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers.keras_witness import import_keras

from pyrnn import metrics
from pyrnn.metrics import MetricSet

Array = npt.NDArray[Any]
# name, arguments, what y_true and y_pred are like
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("Accuracy", {}, "equal"),
    ("BinaryAccuracy", {}, "bits"),
    ("BinaryAccuracy", {"threshold": 0.3}, "bits"),
    ("CategoricalAccuracy", {}, "one hot"),
    ("SparseCategoricalAccuracy", {}, "ids"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one hot"),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, "ids"),
    ("MeanSquaredError", {}, "numbers"),
    ("RootMeanSquaredError", {}, "numbers"),
    ("MeanAbsoluteError", {}, "numbers"),
    ("MeanAbsolutePercentageError", {}, "numbers"),
    ("MeanSquaredLogarithmicError", {}, "numbers"),
    ("LogCoshError", {}, "numbers"),
    ("CosineSimilarity", {}, "numbers"),
    ("KLDivergence", {}, "probabilities"),
    ("Poisson", {}, "probabilities"),
    ("Hinge", {}, "bits"),
    ("SquaredHinge", {}, "bits"),
    ("CategoricalHinge", {}, "one hot"),
    ("BinaryCrossentropy", {}, "bits"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "bits"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, "one hot"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one hot"),
    ("SparseCategoricalCrossentropy", {}, "ids"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "ids"),
    ("TruePositives", {}, "bits"),
    ("FalsePositives", {"thresholds": 0.3}, "bits"),
    ("TrueNegatives", {"thresholds": [0.7, 0.2]}, "bits"),
    ("FalseNegatives", {"thresholds": [0.2, 0.5, 0.9]}, "bits"),
    ("Precision", {}, "bits"),
    ("Precision", {"thresholds": [0.8, 0.1]}, "bits"),
    ("Precision", {"top_k": 2}, "one hot"),
    ("Precision", {"class_id": 1, "thresholds": 0.2}, "one hot"),
    ("Recall", {}, "bits"),
    ("Recall", {"top_k": 2, "class_id": 0}, "one hot"),
    ("AUC", {}, "bits"),
    ("AUC", {"curve": "PR"}, "bits"),
    ("AUC", {"num_thresholds": 7, "summation_method": "minoring"}, "bits"),
    ("AUC", {"curve": "PR", "summation_method": "majoring", "thresholds": [0.5, 0.2, 0.9]}, "bits"),
    ("AUC", {"from_logits": True}, "bits"),
    ("F1Score", {}, "one hot"),
    ("F1Score", {"average": "micro"}, "one hot"),
    ("F1Score", {"average": "weighted", "threshold": 0.3}, "one hot"),
    ("FBetaScore", {"average": "macro", "beta": 2.0}, "one hot"),
]


@pytest.fixture(scope="session")
def keras() -> Any:
    return import_keras()


def data(kind: str, shape: tuple[int, ...], seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed + len(kind))
    width = shape[-1]
    if kind == "numbers":
        return rng.standard_normal(shape).astype(np.float32), rng.standard_normal(shape).astype(np.float32)
    if kind == "equal":
        return rng.integers(0, 3, shape), rng.integers(0, 3, shape)
    if kind == "bits":
        return rng.integers(0, 2, shape), rng.random(shape).astype(np.float32)
    y = rng.dirichlet(np.ones(width), shape[:-1]).astype(np.float32)
    ids = rng.integers(0, width, shape[:-1])
    if kind == "ids":
        return ids, y
    if kind == "probabilities":
        return rng.dirichlet(np.ones(width), shape[:-1]).astype(np.float32), y
    return np.eye(width, dtype=np.float32)[ids], y


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize(("name", "arguments", "kind"), CASES)
def test_values_are_those_of_keras(keras: Any, name: str, arguments: dict[str, Any], kind: str, weighted: bool) -> None:
    mine, theirs = getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
    for seed in range(2):
        t, y = data(kind, (13, 4), seed)
        weights = np.random.default_rng(seed).random(13).astype(np.float32) if weighted else None
        mine.update_state(t, y, weights)
        theirs.update_state(t, y, weights)
    np.testing.assert_allclose(mine.result(), np.asarray(theirs.result()), rtol=2e-5, atol=1e-6)
    mine.reset_state()
    again = metrics.deserialize(metrics.serialize(mine))
    assert again.get_config() == mine.get_config() and again.name == mine.name


@pytest.mark.parametrize(("name", "arguments", "kind"), [case for case in CASES if "Score" not in case[0]])
def test_padding_does_not_count(name: str, arguments: dict[str, Any], kind: str) -> None:
    """A mask is as good as leaving the positions out, whatever they hold; a weight of 0 too."""
    t, y = data(kind, (5, 6, 4))
    mask = np.random.default_rng(1).random((5, 6)) < 0.6
    left = getattr(metrics, name)(**arguments)
    left.update_state(t[mask], y[mask])
    if y.dtype.kind == "f":
        y[~mask] = np.nan
    masked, weighted = getattr(metrics, name)(**arguments), getattr(metrics, name)(**arguments)
    with np.errstate(invalid="ignore"):
        masked.update_state(t, y, mask=mask)
        weighted.update_state(t, y, mask.astype(np.float32))
    np.testing.assert_allclose(masked.result(), left.result(), rtol=1e-6)
    np.testing.assert_allclose(weighted.result(), left.result(), rtol=1e-6)


@pytest.mark.parametrize(("name", "arguments", "kind"), CASES)
def test_a_metric_goes_on_from_its_state(name: str, arguments: dict[str, Any], kind: str) -> None:
    whole, parts = getattr(metrics, name)(**arguments), getattr(metrics, name)(**arguments)
    for seed in range(3):
        t, y = data(kind, (7, 4), seed)
        whole.update_state(t, y)
        parts.update_state(t, y)
        state = [array.copy() for array in parts.state_arrays()]
        parts = getattr(metrics, name)(**arguments)
        parts.set_state_arrays(state)
    np.testing.assert_array_equal(parts.result(), whole.result())


def test_areas_and_shares_are_those_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn, the witness of this test")
    t, y = data("bits", (4000, 1))
    y = (0.6 * y + 0.4 * t * np.random.default_rng(5).random(t.shape)).astype(np.float32)
    weights = np.random.default_rng(2).random(4000)
    flat_t, flat_y = t[:, 0], y[:, 0]
    area = metrics.AUC(num_thresholds=2000)
    area.update_state(t, y, weights)
    assert area.result() == pytest.approx(sklearn.roc_auc_score(flat_t, flat_y, sample_weight=weights), abs=1e-4)
    area = metrics.AUC(num_thresholds=2000, curve="PR")
    area.update_state(t, y)
    assert area.result() == pytest.approx(sklearn.average_precision_score(flat_t, flat_y), abs=1e-3)
    for metric, function in (
        (metrics.Precision(), sklearn.precision_score),
        (metrics.Recall(), sklearn.recall_score),
        (metrics.BinaryAccuracy(), sklearn.accuracy_score),
    ):
        metric.update_state(t, y, weights)
        assert metric.result() == pytest.approx(function(flat_t, flat_y > 0.5, sample_weight=weights))
    ids, p = data("ids", (500, 6))
    top = metrics.SparseTopKCategoricalAccuracy(k=2)
    top.update_state(ids, p)
    assert top.result() == pytest.approx(sklearn.top_k_accuracy_score(ids, p, k=2))
    for average in ("macro", "micro", "weighted"):
        score = metrics.F1Score(average=average)
        score.update_state(np.eye(6)[ids], p)
        assert score.result() == pytest.approx(sklearn.f1_score(ids, p.argmax(axis=1), average=average), abs=1e-6)
    logs = metrics.SparseCategoricalCrossentropy()
    logs.update_state(ids, p)
    assert logs.result() == pytest.approx(sklearn.log_loss(ids, p), rel=1e-5)
    perplexity = metrics.Perplexity()
    perplexity.update_state(ids, p)
    assert perplexity.result() == pytest.approx(np.exp(sklearn.log_loss(ids, p)), rel=1e-5)
    numbers, guesses = data("numbers", (50, 3))
    root = metrics.RootMeanSquaredError()
    root.update_state(numbers, guesses)
    assert root.result() == pytest.approx(np.sqrt(sklearn.mean_squared_error(numbers, guesses)), rel=1e-5)


def test_means_and_sums(keras: Any) -> None:
    for name in ("Mean", "Sum"):
        mine, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
        for values, weights in (([1.0, 3.0], None), ([5.0, 2.0], [0.5, 2.0])):
            mine.update_state(values, weights)
            theirs.update_state(values, weights)
        assert mine.result() == pytest.approx(float(theirs.result()))


def test_what_accuracy_and_crossentropy_mean() -> None:
    ids, p = data("ids", (6, 3))
    bits, q = data("bits", (6, 1))
    for name in ("accuracy", "acc", "crossentropy", "ce"):
        kind = "Accuracy" if name.startswith("acc") else "Crossentropy"
        chosen = metrics.get(name)
        assert isinstance(chosen, metrics.Chosen) and chosen.name == name
        for t, y, expected in ((ids, p, "SparseCategorical"), (np.eye(3)[ids], p, "Categorical"), (bits, q, "Binary")):
            assert type(chosen.choose(t, y)).__name__ == expected + kind


def test_a_set_goes_on_from_its_state() -> None:
    def new() -> MetricSet:
        return MetricSet(
            [metrics.get(name) for name in ("accuracy", "crossentropy", "exact_match")] + [metrics.F1Score()]
        )

    def step(chosen: MetricSet, seed: int) -> None:
        t, y = data("one hot", (5, 6, 4), seed)
        if chosen.first_batch:
            chosen.choose(t, y)
        chosen.update(t, y, np.ones((5, 6), bool))

    whole, first, second = new(), new(), new()
    assert first.state_arrays() == []
    for seed in range(2):
        step(whole, seed)
    step(first, 0)
    second.set_state_arrays(first.state_arrays())
    step(second, 1)
    for name, value in whole.results().items():
        np.testing.assert_array_equal(second.results()[name], value)
    weighted = new()
    t, y = data("one hot", (5, 6, 4))
    weighted.choose(t, y)
    weighted.update(t, y, None, np.arange(5.0))
    right = (t.argmax(-1) == y.argmax(-1)).mean(axis=1)
    assert weighted.results()["accuracy"] == pytest.approx((right * np.arange(5)).sum() / 10)


def test_functions_are_metrics() -> None:
    def worst(t: Array, y: Array) -> Array:
        return np.abs(t - y).max(axis=-1)

    metric = metrics.get(worst)
    t, y = data("numbers", (5, 4))
    metric.update_state(t, y)
    assert metric.name == "worst" and metric.result() == pytest.approx(worst(t, y).mean())


@pytest.mark.parametrize("name", "mse MSE mae MAE mape MAPE msle MSLE bce BCE".split())
def test_aliases_are_those_of_keras(keras: Any, name: str) -> None:
    assert type(metrics.get(name)).__name__ == type(keras.metrics.get(name)).__name__


T, Y = data("one hot", (3, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.get("iou"), ValueError, "metrics: expected names out of"),
        (lambda: metrics.get(3), TypeError, "metrics: expected names or Metrics, got 3"),
        (lambda: metrics.get({"class_name": "os"}), ValueError, "metric: expected one of AUC"),
        (lambda: metrics.AUC(curve="PRGAIN"), ValueError, "AUC: curve: expected 'ROC' or 'PR', got 'PRGAIN'"),
        (lambda: metrics.AUC(summation_method="x"), ValueError, "AUC: summation_method: expected 'interpolation'"),
        (lambda: metrics.AUC(multi_label=True), ValueError, "multi_label=True is not supported: use one AUC for each"),
        (lambda: metrics.AUC(1), ValueError, "AUC: num_thresholds: expected an integer >= 2, got 1"),
        (lambda: metrics.AUC(thresholds=[2.0]), ValueError, "AUC: thresholds: expected numbers in [0, 1]"),
        (lambda: metrics.Precision(thresholds=-1), ValueError, "Precision: thresholds: expected numbers in [0, 1]"),
        (lambda: metrics.Precision(top_k=0), ValueError, "Precision: top_k: expected an integer >= 1 or None, got 0"),
        (lambda: metrics.Recall(class_id=-1), ValueError, "Recall: class_id: expected an integer >= 0 or None"),
        (lambda: metrics.Recall(class_id=9).update_state(T, Y), ValueError, "recall: class_id: expected one of 4"),
        (lambda: metrics.TopKCategoricalAccuracy(k=0), ValueError, "k: expected an integer >= 1, got 0"),
        (lambda: metrics.BinaryAccuracy(threshold=2), ValueError, "threshold: expected a number in (0, 1), got 2"),
        (lambda: metrics.F1Score(average="mean"), ValueError, "F1Score: average: expected None, 'micro'"),
        (lambda: metrics.F1Score(threshold=2.0), ValueError, "F1Score: threshold: expected a number in (0, 1]"),
        (lambda: metrics.FBetaScore(beta=0), ValueError, "FBetaScore: beta: expected a number > 0, got 0"),
        (lambda: metrics.MeanSquaredError(dtype="float16"), ValueError, "dtype='float16' is not supported"),
        (lambda: metrics.CategoricalCrossentropy(axis=1), ValueError, "axis=1 is not supported: classes are the last"),
        (
            lambda: metrics.CategoricalAccuracy().update_state(T, Y, np.ones(2)),
            ValueError,
            "sample_weight: expected (3,)",
        ),
        (lambda: metrics.ExactMatch().update_state(T[None], Y[None], np.ones((1, 3))), ValueError, "one a sequence"),
        (lambda: metrics.MeanSquaredError().update_state(T[:2], Y), ValueError, "y: expected (3, 4) like the model's"),
        (lambda: metrics.TopKCategoricalAccuracy().update_state([1], Y), ValueError, "expected (3, 4), one-hot rows"),
        (lambda: metrics.MeanMetricWrapper(3), TypeError, "fn: expected a function of y_true and y_pred, got 3"),
        (lambda: metrics.serialize(metrics.get(np.maximum)), TypeError, "cannot be saved"),
        (lambda: metrics.Mean().gather(T, Y, None, None), TypeError, "it is no metric for compile()"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
