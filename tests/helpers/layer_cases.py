"""Layers with arguments, inputs and masks: what the tests of non-recurrent layers go through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
B, T, D = 3, 5, 4  # nothing fills a vector register


@dataclass
class Case:
    """A layer by its name in Keras and here.

    shapes: of the inputs, the batch included; masks: for each whether it has one; ids: inputs are integers below it.
    options: of the call. inner: name and arguments of the layer that it wraps.
    """

    layer: str
    arguments: dict[str, Any] = field(default_factory=dict)
    shapes: tuple[tuple[int, ...], ...] = ((B, T, D),)
    masks: tuple[bool, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    ids: int = 0
    inner: tuple[str, dict[str, Any]] | None = None
    listed: bool = False

    def __str__(self) -> str:
        values = [str(value).replace(" ", "") for value in self.arguments.values()]
        parts = [self.layer, *values, *self.options, *(["masked"] if any(self.masks) else [])]
        parts += [self.inner[0]] if self.inner else []
        return "-".join(parts) + f"-{len(self.shapes)}x{len(self.shapes[0])}d"

    def make(self, module: Any, dtype: str = "float64") -> Any:
        """The layer, of `pyrnn.layers` or `keras.layers`."""
        arguments = dict(self.arguments)
        if self.inner:
            arguments["layer"] = getattr(module, self.inner[0])(**self.inner[1], dtype=dtype)
        return getattr(module, self.layer)(**arguments, dtype=dtype)

    def inputs(self, dtype: str = "float64") -> list[Array]:
        rng = np.random.default_rng(len(self.layer))
        if self.ids:
            return [rng.integers(0, self.ids, shape) for shape in self.shapes]
        arrays = [rng.standard_normal(shape).astype(dtype) for shape in self.shapes]
        if self.layer == "Masking":
            arrays[0][0, 2:] = self.arguments.get("mask_value", 0.0)
        return arrays

    def given_masks(self) -> list[Array | None]:
        """Any pattern, but no row is all padding."""
        rng = np.random.default_rng(3)
        masks: list[Array | None] = []
        for i, shape in enumerate(self.shapes):
            if i < len(self.masks) and self.masks[i]:
                mask = rng.random(shape[:2] if len(shape) > 2 else shape) < 0.6
                mask[:, 0] = True
                masks.append(mask)
            else:
                masks.append(None)
        return masks

    def joined(self, values: list[Any]) -> Any:
        """A list where the layer takes one, else the only value."""
        return values if self.listed or len(self.shapes) > 1 else values[0]


def _pair(*shapes: tuple[int, ...]) -> dict[str, Any]:
    return {"shapes": shapes}


TWO = _pair((B, T, D), (B, T, D))
THREE = _pair((B, T, D), (B, T, D), (B, T, D))
MERGES = ("Add", "Multiply", "Average", "Maximum", "Minimum")
L2 = {"kernel_regularizer": "l2", "bias_regularizer": "l1"}
QUERY = {"shapes": ((B, 2, D), (B, T, D))}
KEYS = {"shapes": ((B, 2, D), (B, T, 6), (B, T, D))}

CASES = [
    Case("Dense", {"units": 3}),
    Case("Dense", {"units": 3, "activation": "softmax", "use_bias": False}, masks=(True,)),
    Case("Dense", {"units": 7, "activation": "gelu"}, ((B, D),)),
    Case("Dense", {"units": 7, "activation": "swish", **L2, "kernel_constraint": "max_norm"}, ((2, 3, 2, D),)),
    Case("Embedding", {"input_dim": 7, "output_dim": 3, "mask_zero": True}, ((B, T),), ids=7),
    Case("Embedding", {"input_dim": 7, "output_dim": 3, "embeddings_regularizer": "l2"}, ((B, T, 2),), ids=7),
    Case("Activation", {"activation": "mish"}, masks=(True,)),
    Case("ReLU", {}),
    Case("ReLU", {"max_value": 0.5, "negative_slope": 0.25, "threshold": 0.125}),
    Case("LeakyReLU", {}, masks=(True,)),
    Case("LeakyReLU", {"negative_slope": 0.0}),
    Case("ELU", {"alpha": 0.5}),
    Case("Softmax", {}),
    Case("Softmax", {"axis": 1}),
    Case("Softmax", {"axis": [1, 2]}),
    Case("Softmax", {}, ((B, T),), masks=(True,)),
    Case("Dropout", {"rate": 0.0}, masks=(True,)),
    Case("SpatialDropout1D", {"rate": 0.0}, masks=(True,)),
    Case("GaussianNoise", {"stddev": 0.0}),
    Case("GaussianDropout", {"rate": 0.0}),
    Case("AlphaDropout", {"rate": 0.0}),
    Case("Flatten", {}, ((B, T, D, 2),)),
    Case("Flatten", {}, ((B, D),)),
    Case("Reshape", {"target_shape": (2, -1, 5)}),
    Case("Reshape", {"target_shape": (20,)}),
    Case("Permute", {"dims": (2, 1)}),
    Case("Permute", {"dims": (3, 1, 2)}, ((B, T, D, 2),)),
    Case("RepeatVector", {"n": 3}, ((B, D),)),
    Case("Masking", {}),
    Case("Masking", {"mask_value": -1.5}),
    Case("ZeroPadding1D", {"padding": 2}),
    Case("ZeroPadding1D", {"padding": (0, 3)}),
    Case("Cropping1D", {"cropping": (1, 2)}),
    Case("Cropping1D", {"cropping": 0}),
    Case("UpSampling1D", {"size": 3}),
    Case("Rescaling", {"scale": 2.5, "offset": -1.0}, masks=(True,)),
    Case("LayerNormalization", {}, masks=(True,)),
    Case("LayerNormalization", {"axis": [1, 2], "epsilon": 0.1, "scale": False}),
    Case("LayerNormalization", {"axis": 1, "center": False}),
    Case("LayerNormalization", {"axis": [1, 3]}, ((B, T, D, 2),)),
    Case("BatchNormalization", {}),
    Case("BatchNormalization", {"momentum": 0.5, "epsilon": 0.1, "center": False}, masks=(True,)),
    Case("BatchNormalization", {"axis": 1, "scale": False}),
    Case("BatchNormalization", {}, ((7, D),)),
    Case("UnitNormalization", {}, masks=(True,)),
    Case("UnitNormalization", {"axis": [1, 2]}),
    Case("Conv1D", {"filters": 3, "kernel_size": 2}),
    Case(
        "Conv1D", {"filters": 3, "kernel_size": 3, "padding": "same", "strides": 2, "activation": "tanh"}, ((B, 8, D),)
    ),
    Case("Conv1D", {"filters": 5, "kernel_size": 3, "padding": "causal", "dilation_rate": 2, "use_bias": False}),
    Case("Conv1D", {"filters": 6, "kernel_size": 2, "groups": 2, "activation": "silu", "strides": 3}, ((B, 9, D),)),
    Case("Conv1D", {"filters": 2, "kernel_size": 4, "padding": "same", "dilation_rate": 3}),
    Case("Conv1D", {"filters": 2, "kernel_size": 1}),
    Case("MaxPooling1D", {}),
    Case("MaxPooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, ((B, 8, D),)),
    Case("AveragePooling1D", {"pool_size": 3, "strides": 1}),
    Case("AveragePooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, ((B, 8, D),)),
    Case("GlobalMaxPooling1D", {}),
    Case("GlobalMaxPooling1D", {"keepdims": True}),
    Case("GlobalAveragePooling1D", {}),
    Case("GlobalAveragePooling1D", {"keepdims": True}, masks=(True,)),
    Case("GlobalAveragePooling1D", {}, masks=(True,)),
    *(Case(name, {}, **THREE) for name in MERGES),
    *(Case(name, {}, **THREE, masks=(True, True, True)) for name in MERGES),
    *(Case(name, {}, **THREE, masks=(False, True, True)) for name in MERGES),
    *(Case(name, {}, **_pair((B, T, D), (B, 1, D), (B, D))) for name in MERGES),
    Case("Add", {}, listed=True),
    Case("Subtract", {}, **TWO),
    Case("Subtract", {}, **TWO, masks=(True, True)),
    Case("Concatenate", {}, **_pair((B, T, D), (B, T, 2)), masks=(True, False)),
    Case("Concatenate", {"axis": 1}, **_pair((B, T, D), (B, 2, D), (B, 1, D)), masks=(True, False, True)),
    Case("Dot", {"axes": 1}, **_pair((B, D), (B, D))),
    Case("Dot", {"axes": (2, 1), "normalize": True}, **_pair((B, T, D), (B, D, 6))),
    Case("Dot", {"axes": -1}, **_pair((B, T, D), (B, 3, D)), masks=(True, True)),
    Case("Dot", {"axes": (1, 2)}, **_pair((B, T), (B, 2, T))),
    Case("Dot", {"axes": (2, 3)}, **_pair((B, 2, T, D), (B, D, 3, T))),
    Case("Attention", {}, **QUERY),
    Case("Attention", {"use_scale": True}, **QUERY, masks=(True, True)),
    Case("Attention", {"use_scale": True}, **TWO, options={"use_causal_mask": True}, masks=(False, True)),
    Case("Attention", {"score_mode": "concat"}, **KEYS, masks=(False, True, False)),
    Case("Attention", {"score_mode": "concat", "use_scale": True}, **QUERY),
    Case("Attention", {"use_scale": True}, **KEYS, options={"return_attention_scores": True}),
    Case("AdditiveAttention", {}, **QUERY, masks=(True, True)),
    Case("AdditiveAttention", {"use_scale": False}, **KEYS, options={"return_attention_scores": True}),
    Case("AdditiveAttention", {}, **TWO, options={"use_causal_mask": True}),
    Case("TimeDistributed", {}, inner=("Dense", {"units": 3, "activation": "relu"}), masks=(True,)),
    Case("TimeDistributed", {}, ((2, 3, T, D),), inner=("LSTM", {"units": 3})),
    Case("TimeDistributed", {}, ((2, 3, T, D),), inner=("Conv1D", {"filters": 2, "kernel_size": 3})),
    Case("TimeDistributed", {}, inner=("BatchNormalization", {}), masks=(True,)),
]
