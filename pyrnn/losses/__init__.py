"""What training makes small: Keras's losses, with their gradients.

A loss is a mean over the positions of a batch: samples, and steps where the model's output is a sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyrnn._types import Array
from pyrnn.losses.base import Loss, LossResult, snake
from pyrnn.losses.cross_entropies import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from pyrnn.losses.errors import (
    CosineSimilarity,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
)
from pyrnn.losses.hinges import CategoricalHinge, Hinge, SquaredHinge


class LossFunction:
    """A loss as a function: y_true, y_pred -> one loss a position; it also stands where a loss is asked for.

    >>> mean_squared_error([[0.0, 1.0]], [[1.0, 3.0]])
    array([2.5], dtype=float32)
    """

    def __init__(self, cls: type[Loss]) -> None:
        self.loss, self.__name__ = cls, snake(cls.__name__)
        self.__doc__ = cls.__doc__

    def __call__(self, y_true: Any, y_pred: Any, **kwargs: Any) -> Array:
        predictions = np.asarray(y_pred)
        if predictions.dtype != np.float64 or not isinstance(y_pred, np.ndarray):
            predictions = predictions.astype(np.float32)
        values: Array = self.loss(**kwargs, reduction="none")(y_true, predictions)
        return values


_CLASSES: Mapping[str, type[Loss]] = {
    cls.__name__: cls
    for cls in (
        BinaryCrossentropy,
        BinaryFocalCrossentropy,
        CategoricalCrossentropy,
        CategoricalHinge,
        CosineSimilarity,
        Hinge,
        Huber,
        KLDivergence,
        LogCosh,
        MeanAbsoluteError,
        MeanAbsolutePercentageError,
        MeanSquaredError,
        MeanSquaredLogarithmicError,
        Poisson,
        SparseCategoricalCrossentropy,
        SquaredHinge,
    )
}
binary_crossentropy = LossFunction(BinaryCrossentropy)
binary_focal_crossentropy = LossFunction(BinaryFocalCrossentropy)
categorical_crossentropy = LossFunction(CategoricalCrossentropy)
categorical_hinge = LossFunction(CategoricalHinge)
cosine_similarity = LossFunction(CosineSimilarity)
hinge = LossFunction(Hinge)
huber = LossFunction(Huber)
kl_divergence = LossFunction(KLDivergence)
log_cosh = LossFunction(LogCosh)
mean_absolute_error = LossFunction(MeanAbsoluteError)
mean_absolute_percentage_error = LossFunction(MeanAbsolutePercentageError)
mean_squared_error = LossFunction(MeanSquaredError)
mean_squared_logarithmic_error = LossFunction(MeanSquaredLogarithmicError)
poisson = LossFunction(Poisson)
sparse_categorical_crossentropy = LossFunction(SparseCategoricalCrossentropy)
squared_hinge = LossFunction(SquaredHinge)

_snake_names = {name: snake(name) for name in _CLASSES}
_ALIASES: Mapping[str, type[Loss]] = {
    "bce": BinaryCrossentropy,
    "kld": KLDivergence,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
}
_NAMES: Mapping[str, type[Loss]] = {
    **{snake(name): cls for name, cls in _CLASSES.items()},
    **_ALIASES,
    **{name.upper(): cls for name, cls in _ALIASES.items()},
    "logcosh": LogCosh,
    "kullback_leibler_divergence": KLDivergence,
    **_CLASSES,
}


def get(identifier: Any) -> Loss:
    """A loss from its name, its config, or itself; an object with `loss_and_gradient` is taken for one.

    >>> get("mse").name
    'mean_squared_error'
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, LossFunction):
        return identifier.loss()
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if isinstance(identifier, str):
        if identifier not in _NAMES:
            raise ValueError(f"loss: expected one of {', '.join(_snake_names.values())}, got {identifier!r}")
        return _NAMES[identifier]()
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if hasattr(identifier, "loss_and_gradient"):
        return _Own(identifier)
    if callable(identifier):
        raise TypeError(
            f"loss: expected a name or a Loss, got {identifier!r}: a function has no gradient; subclass "
            "pyrnn.losses.Loss with loss_and_gradient(y_true, y_pred)"
        )
    raise TypeError(f"loss: expected a name or a Loss, got {identifier!r}")


class _Own(Loss):
    """A loss of the user's that is no subclass of Loss."""

    def __init__(self, own: Any) -> None:
        super().__init__(name=getattr(own, "name", None) or getattr(own, "__name__", None) or type(own).__name__)
        self.own = own

    def loss_and_gradient(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        values, gradient = self.own.loss_and_gradient(y_true, y_pred)
        return np.asarray(values), np.asarray(gradient)


def serialize(loss: Loss) -> dict[str, Any]:
    """The config that `deserialize` turns back into the loss."""
    if _CLASSES.get(type(loss).__name__) is not type(loss):
        raise TypeError(f"loss: {type(loss).__name__} is not one of pyrnn's, so it cannot be saved")
    return {"class_name": type(loss).__name__, "config": loss.get_config()}


def deserialize(config: Mapping[str, Any]) -> Loss:
    """A loss from its config; only pyrnn's own classes are known."""
    if config.get("class_name") not in _CLASSES:
        raise ValueError(f"loss: expected one of {', '.join(_CLASSES)}, got {config.get('class_name')!r}")
    return _CLASSES[config["class_name"]](**config["config"])


__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunction",
    "LossResult",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]
