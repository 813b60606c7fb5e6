"""Losses, metrics, optimisers, schedules, initialisers and padding, against formulas worked out in NumPy."""

import math
from typing import Any

import numpy as np
import pytest

from pyrnn import initializers, losses, metrics, optimizers, utils
from pyrnn.data import batches, pad_sequences
from pyrnn.layers.parameters import Parameter
from pyrnn.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Loss,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from pyrnn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from pyrnn.optimizers.schedules import CosineDecay, ExponentialDecay

DIFFERENCE = 1e-6


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# ---- losses

RNG = np.random.default_rng(1)
LOGITS = RNG.standard_normal((3, 4, 5))
P = softmax(LOGITS)
IDS = RNG.integers(0, 5, (3, 4))
SOFT = softmax(RNG.standard_normal((3, 4, 5)))
BITS = RNG.integers(0, 2, (3, 4, 5)).astype(np.float64)
Q = 1 / (1 + np.exp(-LOGITS))
WEIGHTS = RNG.uniform(0.5, 2, (3, 4))


def cross_entropy(t: np.ndarray, p: np.ndarray) -> np.ndarray:
    return -(t * np.log(p)).sum(axis=-1)


def binary(t: np.ndarray, q: np.ndarray) -> np.ndarray:
    return -(t * np.log(q) + (1 - t) * np.log(1 - q)).mean(axis=-1)


LOSSES: dict[str, tuple[Loss, np.ndarray, np.ndarray, np.ndarray]] = {
    "mse": (MeanSquaredError(), SOFT, LOGITS, ((LOGITS - SOFT) ** 2).mean(axis=-1)),
    "cce": (CategoricalCrossentropy(), SOFT, P, cross_entropy(SOFT, P)),
    "cce_logits": (CategoricalCrossentropy(from_logits=True), SOFT, LOGITS, cross_entropy(SOFT, P)),
    "cce_smooth": (CategoricalCrossentropy(label_smoothing=0.2), SOFT, P, cross_entropy(0.8 * SOFT + 0.04, P)),
    "scce": (SparseCategoricalCrossentropy(), IDS, P, cross_entropy(np.eye(5)[IDS], P)),
    "scce_logits": (SparseCategoricalCrossentropy(from_logits=True), IDS, LOGITS, cross_entropy(np.eye(5)[IDS], P)),
    "bce": (BinaryCrossentropy(), BITS, Q, binary(BITS, Q)),
    "bce_logits": (BinaryCrossentropy(from_logits=True), BITS, LOGITS, binary(BITS, Q)),
    "bce_smooth": (BinaryCrossentropy(label_smoothing=0.2), BITS, Q, binary(0.8 * BITS + 0.1, Q)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    loss, y, y_pred, expected = LOSSES[name]
    assert loss(y, y_pred) == pytest.approx(expected.mean(), rel=1e-12)
    assert loss(y, y_pred.astype(np.float32)) == pytest.approx(expected.mean(), rel=1e-5)
    assert loss(y, y_pred, WEIGHTS) == pytest.approx((WEIGHTS * expected).mean(), rel=1e-12)
    assert loss(y, y_pred, WEIGHTS[:, 0]) == pytest.approx((WEIGHTS[:, :1] * expected).mean(), rel=1e-12)
    mask = WEIGHTS > 1
    assert loss.compute(y, y_pred, mask=mask).value == pytest.approx(expected[mask].mean(), rel=1e-12)
    total = losses.deserialize({**losses.serialize(loss), "config": {**loss.get_config(), "reduction": "sum"}})
    assert total(y, y_pred) == pytest.approx(expected.sum(), rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_losses(name: str, weighted: bool) -> None:
    loss, y, y_pred, _ = LOSSES[name]
    weights, mask = (WEIGHTS, WEIGHTS > 1) if weighted else (None, None)
    dy = loss.compute(y, y_pred, weights, mask=mask).dy
    assert dy is not None
    for i in [(0, 0, 0), (0, 3, 2), (1, 1, 4), (2, 0, 3)]:
        sides = []
        for side in (1, -1):
            moved = y_pred.copy()
            moved[i] += side * DIFFERENCE
            sides.append(loss.compute(y, moved, weights, mask=mask, need_grad=False).value)
        assert dy[i] == pytest.approx((sides[0] - sides[1]) / (2 * DIFFERENCE), rel=1e-5, abs=1e-8)


def test_fused_losses_are_exact_where_probabilities_are_0_or_1() -> None:
    logits = np.array([[200.0, 0.0], [-300.0, 0.0]], np.float32)
    result = CategoricalCrossentropy().compute(np.array([[0, 1], [1, 0]]), logits, fused=True)
    assert result.value == 250.0
    assert result.dy is not None
    assert result.dy.tolist() == [[0.5, -0.5], [-0.5, 0.5]]
    assert BinaryCrossentropy().compute(np.array([[0], [1]]), logits[:, :1], fused=True).value == 250.0


def test_targets_may_have_an_axis_of_one_or_leave_it_out() -> None:
    assert SparseCategoricalCrossentropy()(IDS[..., None], P) == SparseCategoricalCrossentropy()(IDS, P)
    assert SparseCategoricalCrossentropy()(IDS.astype(float), P) == SparseCategoricalCrossentropy()(IDS, P)
    assert MeanSquaredError()(SOFT[..., 0], P[..., :1]) == MeanSquaredError()(SOFT[..., :1], P[..., :1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CategoricalCrossentropy()(IDS, P), r"y: expected \(3, 4, 5\) .* use sparse_categorical_crossentropy"),
        (lambda: SparseCategoricalCrossentropy()(SOFT, P), r"y: expected class ids \(3, 4\)"),
        (lambda: MeanSquaredError()(SOFT[:2], P), r"y: expected \(3, 4, 5\) like the model's output"),
        (lambda: MeanSquaredError(reduction="avg"), "MeanSquaredError: reduction: expected one of sum_over_batch_size"),
        (lambda: CategoricalCrossentropy(label_smoothing=2), "label_smoothing: expected a number in"),
        (lambda: MeanSquaredError()(SOFT, P, np.ones(2)), r"sample_weight: expected \(3,\) or \(3, 4\), got \(2,\)"),
    ],
)  # fmt: skip
def test_losses_refuse(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ---- metrics


def value_of(metric: metrics.Metric, y: Any, p: Any, mask: Any = None) -> float:
    metric.update_state(y, p, mask=mask)
    return metric.result()


def test_accuracies() -> None:
    right = P.argmax(axis=-1) == IDS
    one_hot = np.eye(5)[IDS]
    assert value_of(metrics.SparseCategoricalAccuracy(), IDS, P) == right.mean()
    assert value_of(metrics.SparseCategoricalAccuracy(), IDS[..., None], P) == right.mean()
    assert value_of(metrics.CategoricalAccuracy(), one_hot, P) == right.mean()
    assert value_of(metrics.ExactMatch(), one_hot, P) == right.all(axis=1).mean()
    assert value_of(metrics.BinaryAccuracy(), BITS, Q) == pytest.approx(((Q > 0.5) == BITS).mean())
    assert value_of(metrics.BinaryAccuracy(threshold=0.7), BITS, Q) == pytest.approx(((Q > 0.7) == BITS).mean())
    assert value_of(metrics.MeanSquaredError(), SOFT, P) == pytest.approx(((SOFT - P) ** 2).mean())
    assert value_of(metrics.MeanAbsoluteError(), SOFT, P) == pytest.approx(np.abs(SOFT - P).mean())
    for y, p, chosen in (
        (one_hot, P, metrics.CategoricalAccuracy),
        (IDS, P, metrics.SparseCategoricalAccuracy),
        (IDS[..., None], P, metrics.SparseCategoricalAccuracy),
        (BITS[..., :1], Q[..., :1], metrics.BinaryAccuracy),
        (BITS[..., 0], Q[..., :1], metrics.BinaryAccuracy),
    ):
        assert type(metrics.ChosenAccuracy().choose(y, p)) is chosen


def test_padding_does_not_count() -> None:
    mask = np.arange(4) < np.array([[2], [4], [1]])
    ids = np.where(mask, P.argmax(axis=-1), (P.argmax(axis=-1) + 1) % 5)
    assert value_of(metrics.SparseCategoricalAccuracy(), ids, P, mask) == 1
    assert value_of(metrics.ExactMatch(), ids, P, mask) == 1
    ids[0, 0] = (ids[0, 0] + 1) % 5
    assert value_of(metrics.SparseCategoricalAccuracy(), ids, P, mask) == pytest.approx(6 / 7)
    assert value_of(metrics.ExactMatch(), ids, P, mask) == pytest.approx(2 / 3)


def test_a_metric_gathers_over_batches() -> None:
    whole, parts = metrics.MeanSquaredError(), metrics.MeanSquaredError()
    whole.update_state(SOFT, P)
    for piece in (slice(0, 1), slice(1, 3)):
        parts.update_state(SOFT[piece], P[piece])
    assert parts.result() == pytest.approx(whole.result())
    parts.reset_state()
    assert parts.result() == 0


def test_names_are_those_asked_for() -> None:
    assert [metrics.get(name).name for name in ("acc", "accuracy", "mae", "exact_match")] == [
        "acc", "accuracy", "mae", "exact_match",
    ]  # fmt: skip
    for metric in (metrics.get("acc"), metrics.BinaryAccuracy(threshold=0.3)):
        assert metrics.deserialize(metrics.serialize(metric)).get_config() == metric.get_config()


# ---- optimisers


def run(optimizer: Optimizer, steps: int = 5) -> np.ndarray:
    """Steps on w from a fixed start with fixed gradients."""
    parameter = Parameter("w", np.array([1.0, -2.0, 0.5]))
    parameters = [parameter]
    rng = np.random.default_rng(2)
    for _ in range(steps):
        parameter.gradient[...] = rng.standard_normal(3)
        optimizer.apply(parameters)
    return parameter.value


def gradients(steps: int = 5) -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [rng.standard_normal(3) for _ in range(steps)]


def test_adam() -> None:
    w, m, v = np.array([1.0, -2.0, 0.5]), np.zeros(3), np.zeros(3)
    for t, g in enumerate(gradients(), 1):
        w = w * (1 - 0.05 * 0.1)
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        rate = 0.05 * math.sqrt(1 - 0.9**t) / (1 - 0.8**t)
        w = w - rate * m / (np.sqrt(v) + 1e-7)
    np.testing.assert_allclose(run(Adam(0.05, 0.8, 0.9, weight_decay=0.1)), w, rtol=1e-10)
    np.testing.assert_allclose(run(AdamW(0.05, 0.1, 0.8, 0.9)), w, rtol=1e-10)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(nesterov: bool) -> None:
    w, u = np.array([1.0, -2.0, 0.5]), np.zeros(3)
    for g in gradients():
        u = 0.9 * u - 0.1 * g
        w = w + 0.9 * u - 0.1 * g if nesterov else w + u
    np.testing.assert_allclose(run(SGD(0.1, 0.9, nesterov)), w, rtol=1e-10)
    plain = np.array([1.0, -2.0, 0.5]) - 0.1 * sum(gradients())
    np.testing.assert_allclose(run(SGD(0.1)), plain, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_rmsprop(momentum: float) -> None:
    w, v, u = np.array([1.0, -2.0, 0.5]), np.zeros(3), np.zeros(3)
    for g in gradients():
        v = 0.8 * v + 0.2 * g * g
        u = momentum * u + 0.05 * g / np.sqrt(v + 1e-7)
        w = w - u
    np.testing.assert_allclose(run(RMSprop(0.05, 0.8, momentum)), w, rtol=1e-10)


def test_rmsprop_weight_decay() -> None:
    w, v = np.array([1.0, -2.0, 0.5]), np.zeros(3)
    for g in gradients():
        w = w * (1 - 0.05 * 0.1)
        v = 0.9 * v + 0.1 * g * g
        w = w - 0.05 * g / np.sqrt(v + 1e-7)
    np.testing.assert_allclose(run(RMSprop(0.05, weight_decay=0.1)), w, rtol=1e-10)


@pytest.mark.parametrize("clip", ["clipnorm", "global_clipnorm", "clipvalue"])
def test_clipping(clip: str) -> None:
    w = np.array([1.0, -2.0, 0.5])
    for g in gradients():
        norm = np.sqrt((g * g).sum())
        g = np.clip(g, -0.3, 0.3) if clip == "clipvalue" else g * min(1, 0.3 / norm)
        w = w - 0.1 * g
    np.testing.assert_allclose(run(SGD(0.1, **{clip: 0.3})), w, rtol=1e-10)


def test_schedules_count_steps() -> None:
    for schedule in (CosineDecay(0.1, 4), ExponentialDecay(0.1, 2, 0.5), ExponentialDecay(0.1, 2, 0.5, staircase=True)):
        w = np.array([1.0, -2.0, 0.5])
        for step, g in enumerate(gradients()):
            w = w - schedule(step) * g
        optimizer = SGD(schedule)
        np.testing.assert_allclose(run(optimizer), w, rtol=1e-10)
        assert optimizer.current_learning_rate() == schedule(5)


def test_schedules_by_hand() -> None:
    warm = CosineDecay(0.0, 10, alpha=0.1, warmup_target=1.0, warmup_steps=5)
    assert [round(warm(step), 6) for step in (0, 1, 5, 10, 15, 100)] == [0.0, 0.2, 1.0, 0.55, 0.1, 0.1]
    stairs = ExponentialDecay(1.0, 4, 0.5, staircase=True)
    assert [stairs(step) for step in (0, 3, 4, 8)] == [1.0, 1.0, 0.5, 0.25]
    for schedule in (warm, stairs):
        config = optimizers.schedules.serialize(schedule)
        assert optimizers.schedules.deserialize(config).get_config() == schedule.get_config()


@pytest.mark.parametrize(
    "optimizer", [Adam(0.1, clipnorm=2.0), AdamW(), SGD(CosineDecay(0.1, 5), 0.9, True), RMSprop(rho=0.8, name="mine")]
)
def test_optimizers_come_back_from_their_config(optimizer: Optimizer) -> None:
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Adam(-1), ValueError, "Adam: learning_rate: expected a finite number >= 0, got -1"),
        (lambda: Adam("fast"), TypeError, "Adam: learning_rate: expected a number or a schedule, got 'fast'"),
        (lambda: Adam(beta_1=1), ValueError, r"Adam: beta_1: expected a number in \[0, 1\), got 1"),
        (lambda: Adam(clipnorm=0), ValueError, "Adam: clipnorm: expected a number > 0 or None"),
        (lambda: Adam(clipnorm=1, clipvalue=1), ValueError, "Adam: expected at most one of clipnorm, clipvalue"),
        (lambda: Adam(use_ema=True), ValueError, "Adam: use_ema=True is not supported: keep the best weights"),
        (lambda: Adam(lr=0.1), ValueError, "Adam: lr=0.1 is not supported: use learning_rate="),
        (lambda: Adam(rate=0.1), TypeError, "Adam: unknown argument 'rate'"),
        (lambda: SGD(momentum=2), ValueError, r"SGD: momentum: expected a number in \[0, 1\], got 2"),
        (lambda: CosineDecay(0.1, 0), ValueError, "CosineDecay: decay_steps: expected a number > 0"),
    ],
)  # fmt: skip
def test_optimizers_refuse(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


# ---- initialisers, seeds and data


@pytest.mark.parametrize("name", sorted({"he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "glorot_normal"}))
def test_variance_of_scaled_initializers(name: str) -> None:
    values = initializers.get(name)((300, 500), "float64")
    n = {"glorot": 400, "he": 150, "lecun": 300}[name.split("_")[0]]
    assert values.std() == pytest.approx(1 / math.sqrt(n), rel=0.02)
    assert abs(values.mean()) < 0.001
    limit = math.sqrt(3) if "uniform" in name else 2 / 0.8796
    assert np.abs(values).max() <= 1.001 * limit / math.sqrt(n)


def test_initializers() -> None:
    assert initializers.get("ones")((2,)).tolist() == [1, 1]
    assert initializers.Constant(3)((1, 2)).tolist() == [[3, 3]]
    assert initializers.Identity(2)((2, 2)).tolist() == [[2, 0], [0, 2]]
    assert initializers.get("random_normal")((10_000,)).std() == pytest.approx(0.05, rel=0.05)
    assert np.abs(initializers.get("uniform")((10_000,))).max() <= 0.05
    tall = initializers.Orthogonal(gain=2, seed=1)((6, 3), "float64")
    np.testing.assert_allclose((tall[:, :, None] * tall[:, None]).sum(axis=0), 4 * np.eye(3), atol=1e-12)
    for initializer in (
        initializers.Orthogonal(2, seed=1),
        initializers.RandomUniform(0, 1, seed=3),
        initializers.Zeros(),
    ):
        again = initializers.get(initializers.serialize(initializer))
        assert np.array_equal(again((4, 3)), initializer((4, 3)))


def test_a_seed_repeats_what_is_drawn() -> None:
    draws = []
    for seed in (1, 1, 2):
        utils.set_random_seed(seed)
        draws.append((initializers.get("glorot_uniform")((3, 3)).tolist(), np.random.random()))
    assert draws[0] == draws[1] != draws[2]
    with pytest.raises(ValueError, match="seed: expected 0 <= seed"):
        utils.set_random_seed(-1)
    with pytest.raises(TypeError, match="seed: expected an integer"):
        utils.set_random_seed("a")  # type: ignore[arg-type]


def test_pad_sequences() -> None:
    rows = [[1, 2, 3], [], [4]]
    assert pad_sequences(rows).tolist() == [[1, 2, 3], [0, 0, 0], [0, 0, 4]]
    assert pad_sequences(rows, 2, padding="post", value=9).tolist() == [[2, 3], [9, 9], [4, 9]]
    assert pad_sequences(rows, 2, truncating="post").tolist() == [[1, 2], [0, 0], [0, 4]]
    assert pad_sequences([np.ones((2, 3)), np.ones((1, 3))], dtype="float32").shape == (2, 2, 3)
    assert pad_sequences([]).shape == (0, 0)
    for call, message in (
        (lambda: pad_sequences([1, 2]), "sequences: expected a list of sequences, got the single value 1"),
        (lambda: pad_sequences(rows, padding="left"), "padding: expected 'pre' or 'post', got 'left'"),
        (lambda: pad_sequences([np.ones((1, 2)), np.ones((1, 3))]), r"expected steps of shape \(2,\), got \(3,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_batches_and_to_categorical() -> None:
    drawn = [index.tolist() for index in batches(7, 3, np.random.default_rng(1)) if isinstance(index, np.ndarray)]
    assert [len(index) for index in drawn] == [3, 3, 1]
    assert sorted(i for index in drawn for i in index) == list(range(7))
    assert utils.to_categorical([[1], [0]]).tolist() == [[0, 1], [1, 0]]
    with pytest.raises(ValueError, match=r"x: expected ids in \[0, 2\), got 3"):
        utils.to_categorical([0, 3], 2)
