"""What the non-recurrent layers refuse, by name; noise; the pretrained embedding; functions as layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyrnn import Sequential, layers
from pyrnn.layers import Dense, Embedding, Input, Lambda
from pyrnn.layers.base import Call, Run

X3, X2 = np.zeros((2, 5, 4), np.float32), np.zeros((2, 4), np.float32)
ids = np.array([[1, 2]])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.Conv1D(3, 2, data_format="channels_first"), ValueError, "Conv1D: data_format=.* Permute"),
        (lambda: layers.Conv1D(3, 2, padding="full"), ValueError, "Conv1D: padding: expected one of valid, same"),
        (lambda: layers.Conv1D(3, 0), ValueError, "Conv1D: kernel_size: expected an integer >= 1, got 0"),
        (lambda: layers.Conv1D(3, (2, 2)), TypeError, "Conv1D: kernel_size: expected an integer"),
        (lambda: layers.Conv1D(3, 2, groups=2), ValueError, "Conv1D: groups: expected a divisor of filters=3"),
        (lambda: layers.Conv1D(4, 2, groups=2)(X3[:, :, :3]), ValueError, "width is a multiple of groups=2"),
        (lambda: layers.Conv1D(3, 2, strides=2, dilation_rate=2), ValueError, "expected 1 with strides=2"),
        (lambda: layers.Conv1D(3, 9)(X3), ValueError, "conv1d: expected an input of at least 9 steps"),
        (lambda: layers.Conv1D(3, 2)(X2), ValueError, r"expected an input \(batch, steps, width\)"),
        (lambda: layers.Conv1D(3, 2, lora_rank=2), ValueError, "lora_rank=2 is not supported"),
        (lambda: layers.MaxPooling1D(2, padding="causal"), ValueError, "MaxPooling1D: padding: expected one of"),
        (lambda: layers.AveragePooling1D(9)(X3), ValueError, "expected an input of at least 9 steps"),
        (lambda: layers.GlobalMaxPooling1D("channels_first"), ValueError, "GlobalMaxPooling1D: data_format"),
        (lambda: layers.GlobalAveragePooling1D(keepdims=1), TypeError, "keepdims: expected True or False"),
        (lambda: layers.Cropping1D((3, 2))(X3), ValueError, "expected an input of more than 5 steps"),
        (lambda: layers.Cropping1D((1, 2, 3)), ValueError, "Cropping1D: cropping: expected an integer or two"),
        (lambda: layers.ZeroPadding1D(-1), ValueError, "ZeroPadding1D: padding: expected an integer >= 0"),
        (lambda: layers.UpSampling1D(0), ValueError, "UpSampling1D: size: expected an integer >= 1"),
        (lambda: layers.Reshape((3, -1))(X2), ValueError, "reshape: target_shape: expected the 4 elements"),
        (lambda: layers.Reshape((-1, -1)), ValueError, "Reshape: target_shape: expected at most one -1"),
        (lambda: layers.Reshape(4), TypeError, "Reshape: target_shape: expected a tuple"),
        (lambda: layers.Permute((0, 1)), ValueError, "Permute: dims: expected an integer >= 1"),
        (lambda: layers.Permute((1, 3)), ValueError, "Permute: dims: expected each of 1 to 2 once"),
        (lambda: layers.Permute((2, 1))(X2), ValueError, "expected an input of 2 axes and the batch"),
        (lambda: layers.Flatten("channels_first"), ValueError, "Flatten: data_format"),
        (lambda: layers.Masking("x"), TypeError, "Masking: mask_value: expected a number"),
        (lambda: layers.ReLU(max_value=-1), ValueError, "ReLU: max_value: expected a number >= 0"),
        (lambda: layers.ReLU(threshold=-1), ValueError, "ReLU: threshold"),
        (lambda: layers.LeakyReLU(-0.1), ValueError, "LeakyReLU: negative_slope"),
        (lambda: layers.ELU("a"), TypeError, "ELU: alpha: expected a number"),
        (lambda: layers.Softmax(3)(X3), ValueError, "softmax: axis: expected -3 <= axis < 3"),
        (lambda: layers.Softmax()(X3, mask=np.ones((2, 5), bool)), ValueError, "mask: expected one that fits"),
        (lambda: layers.Dropout(1.5), ValueError, "Dropout: rate: expected 0 <= rate < 1"),
        (lambda: layers.Dropout(0.5, noise_shape=(2, 3))(X2, training=True), ValueError, "dropout: noise_shape"),
        (lambda: layers.Dropout(0.5, seed="a"), TypeError, "Dropout: seed: expected an integer"),
        (lambda: layers.SpatialDropout1D(0.5)(X2), ValueError, r"expected an input \(batch, steps, width\)"),
        (lambda: layers.SpatialDropout1D(0.5, noise_shape=(1,)), TypeError, "unknown argument 'noise_shape'"),
        (lambda: layers.GaussianNoise(-1), ValueError, "GaussianNoise: stddev"),
        (lambda: layers.Add()(X2), ValueError, "add: expected a list of inputs"),
        (lambda: layers.Add()([X3, X3[:, :2]]), ValueError, "add: expected inputs of one shape"),
        (lambda: layers.Subtract()([X2, X2, X2]), ValueError, "subtract: expected a list of 2 to 2 inputs, got 3"),
        (lambda: layers.Concatenate(axis=0), ValueError, "Concatenate: axis: expected one axis other than"),
        (lambda: layers.Concatenate()([X3, X3[:, :2]]), ValueError, "inputs that differ along axis -1 only"),
        (lambda: layers.Dot((1, 2, 3)), ValueError, "Dot: axes: expected one axis or two"),
        (lambda: layers.Dot(0)([X2, X2]), ValueError, "dot: axes: expected other axes than that of the batch"),
        (lambda: layers.Dot((1, 2))([X3, X3]), ValueError, "dot: expected inputs of one size along axes 1 and 2"),
        (lambda: layers.Dot("a"), TypeError, "Dot: axis: expected an integer"),
        (lambda: layers.LayerNormalization(rms_scaling=True), ValueError, "rms_scaling=True is not supported"),
        (lambda: layers.LayerNormalization(axis=0)(X2), ValueError, "axis: expected axes of known size"),
        (lambda: layers.LayerNormalization(epsilon=-1), ValueError, "LayerNormalization: epsilon"),
        (lambda: layers.BatchNormalization(renorm=True), ValueError, "renorm=True is not supported: use Layer"),
        (lambda: layers.BatchNormalization(synchronized=True), ValueError, "synchronized=True is not supported"),
        (lambda: layers.BatchNormalization(axis=1.5), TypeError, "BatchNormalization: axis"),
        (lambda: layers.UnitNormalization("a"), TypeError, "UnitNormalization: axis"),
        (lambda: layers.Attention(score_mode="mul"), ValueError, "Attention: score_mode: expected one of dot, concat"),
        (lambda: layers.Attention(dropout=2), ValueError, "Attention: dropout"),
        (lambda: layers.Attention()(X3), ValueError, r"attention: expected \[query, value\]"),
        (lambda: layers.Attention()([X3, X3[:, :, :2]]), ValueError, "expected query and key of one width"),
        (lambda: layers.Attention()([X3, X3, X3[:, :2]]), ValueError, "expected value and key of one length"),
        (lambda: layers.AdditiveAttention(score_mode="dot"), TypeError, "unknown argument 'score_mode'"),
        (lambda: layers.Rescaling("a"), TypeError, "Rescaling: scale: expected a number"),
        (lambda: layers.Rescaling([1, 2, 3])(X2[:, :1]), ValueError, "scale: expected one number a unit"),
        (lambda: Embedding(3, 2, weights=[np.zeros((2, 3))]), ValueError, r"Embedding: weights: .*\(3, 2\)"),
        (lambda: Embedding(3, 2, weights=["a"]), TypeError, "Embedding: weights: expected real numbers"),
        (lambda: Embedding(3, 2, lora_rank=1), ValueError, "lora_rank=1 is not supported"),
        (lambda: Dense(3, kernel_regularizer="l9"), ValueError, "Dense: kernel_regularizer"),
        (lambda: Dense(3, bias_constraint=7), TypeError, "Dense: bias_constraint"),
        (lambda: Dense(3, activity_regularizer="l9"), ValueError, "Dense: activity_regularizer"),
        (lambda: Lambda(3), TypeError, "Lambda: function: expected a function, got 3"),
        (lambda: Lambda(abs, gradient=3), TypeError, "Lambda: gradient: expected a function"),
        (lambda: Lambda(lambda x: x).get_config(), TypeError, "lambda: a Lambda cannot be saved"),
    ],
)  # fmt: skip
def test_refusals_name_the_argument(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("how", ["weights", "build and set_weights"])
def test_pretrained_vectors_stay_as_they_are(how: str) -> None:
    matrix = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    embedding = Embedding(7, 3, trainable=False, weights=[matrix] if how == "weights" else None)
    if how != "weights":
        embedding.build((1,))
        embedding.set_weights([matrix])
    model = Sequential([Input((4,), dtype="int32"), embedding, layers.GlobalAveragePooling1D(), Dense(2)])
    model.compile(loss="mse", optimizer="sgd")
    x = np.random.default_rng(1).integers(0, 7, (20, 4))
    before = model.get_weights()[1].copy()
    model.fit(x, np.ones((20, 2)), epochs=1, verbose=0)
    assert np.array_equal(model.get_weights()[0], matrix)
    assert not np.array_equal(model.get_weights()[1], before)


def test_a_function_as_a_layer_trains_with_its_gradient() -> None:
    def model_of(gradient: Any) -> Sequential:
        model = Sequential([Input((3,)), Dense(4), Lambda(lambda x: x**2, gradient=gradient), Dense(1)])
        model.compile(loss="mse", optimizer="sgd")
        return model

    x = np.random.default_rng(0).standard_normal((32, 3)).astype(np.float32)
    y = (x**2).sum(1, keepdims=True)
    losses = model_of(lambda x, dy: 2 * x * dy).fit(x, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    with pytest.raises(ValueError, match="lambda: gradient: expected a function"):
        model_of(None).fit(x, y, verbose=0)


@pytest.mark.parametrize("name", ["Dropout", "SpatialDropout1D", "GaussianDropout", "AlphaDropout", "GaussianNoise"])
def test_noise_is_drawn_anew_each_step_and_repeats_with_the_seed(name: str) -> None:
    x = np.ones((3, 50, 40), np.float32)

    def run(step: int, seed: int = 1) -> np.ndarray:
        layer = getattr(layers, name)(0.3, seed=seed)
        layer.build((None, 50, 40))
        return np.array(layer.forward(x, Call(Run(True, step), 1)))

    assert np.array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))
    assert not np.array_equal(run(1), run(1, seed=2))
    if name != "AlphaDropout":  # which keeps the mean of what has mean 0
        assert abs(run(1).mean() - 1) < 0.2


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = np.random.default_rng(0).standard_normal((400, 400)).astype(np.float32)
    y = layers.AlphaDropout(0.3, seed=1)(x, training=True)
    assert abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02


def test_frozen_batch_normalisation_uses_its_moving_statistics() -> None:
    layer = layers.BatchNormalization(trainable=False)
    x = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    y = layer(x, training=True)
    assert np.array_equal(y, layer(x)) and not layer.get_weights()[2].any()
