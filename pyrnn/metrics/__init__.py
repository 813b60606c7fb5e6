"""What a person wants to know of a model: Keras's metrics, exact_match and perplexity.

A metric gathers over the batches of an epoch. Steps that a mask marks as padding do not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyrnn.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    ChosenAccuracy,
    ExactMatch,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    hits,
)
from pyrnn.metrics.base import Chosen, Metric, like
from pyrnn.metrics.confusion import (
    AUC,
    F1Score,
    FalseNegatives,
    FalsePositives,
    FBetaScore,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from pyrnn.metrics.means import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    ChosenCrossentropy,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    Mean,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanMetricWrapper,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Perplexity,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    Sum,
)
from pyrnn.metrics.sets import MetricSet

_CLASSES: Mapping[str, type[Metric]] = {
    cls.__name__: cls
    for cls in (
        AUC,
        Accuracy,
        BinaryAccuracy,
        BinaryCrossentropy,
        CategoricalAccuracy,
        CategoricalCrossentropy,
        CategoricalHinge,
        ChosenAccuracy,
        ChosenCrossentropy,
        CosineSimilarity,
        ExactMatch,
        F1Score,
        FBetaScore,
        FalseNegatives,
        FalsePositives,
        Hinge,
        KLDivergence,
        LogCoshError,
        Mean,
        MeanAbsoluteError,
        MeanAbsolutePercentageError,
        MeanSquaredError,
        MeanSquaredLogarithmicError,
        Perplexity,
        Poisson,
        Precision,
        Recall,
        RootMeanSquaredError,
        SparseCategoricalAccuracy,
        SparseCategoricalCrossentropy,
        SparseTopKCategoricalAccuracy,
        SquaredHinge,
        Sum,
        TopKCategoricalAccuracy,
        TrueNegatives,
        TruePositives,
    )
}
_ALIASES: Mapping[str, type[Metric]] = {
    "accuracy": ChosenAccuracy,
    "acc": ChosenAccuracy,
    "crossentropy": ChosenCrossentropy,
    "ce": ChosenCrossentropy,
    "auc": AUC,
    "rmse": RootMeanSquaredError,
    "fbeta_score": FBetaScore,
    "log_cosh_error": LogCoshError,
    **{
        alias: cls
        for name, cls in (
            ("mse", MeanSquaredError),
            ("mae", MeanAbsoluteError),
            ("mape", MeanAbsolutePercentageError),
            ("msle", MeanSquaredLogarithmicError),
            ("bce", BinaryCrossentropy),
            ("kld", KLDivergence),
        )
        for alias in (name, name.upper())
    },
}
_NAMES: Mapping[str, type[Metric]] = {**{cls.default_name: cls for cls in _CLASSES.values()}, **_ALIASES}

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "Chosen",
    "ChosenAccuracy",
    "ChosenCrossentropy",
    "CosineSimilarity",
    "ExactMatch",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "MetricSet",
    "Perplexity",
    "Poisson",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "deserialize",
    "get",
    "hits",
    "like",
    "serialize",
]


def get(identifier: Any) -> Metric:
    """A metric from its name, its config, a function of y_true and y_pred, or itself.

    It is named as it was asked for.

    >>> get("acc").name
    'acc'
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, str):
        if identifier in _NAMES:
            return _NAMES[identifier](identifier)
        if identifier in _CLASSES:
            return _CLASSES[identifier]()
        raise ValueError(f"metrics: expected names out of {', '.join(_NAMES)}, got {identifier!r}")
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if callable(identifier):
        return MeanMetricWrapper(identifier)
    raise TypeError(f"metrics: expected names or Metrics, got {identifier!r}")


def serialize(metric: Metric) -> dict[str, Any]:
    """The config that `deserialize` turns back into the metric."""
    if _CLASSES.get(type(metric).__name__) is not type(metric):
        raise TypeError(f"metrics: {type(metric).__name__} is not one of pyrnn's, so it cannot be saved")
    return {"class_name": type(metric).__name__, "config": metric.get_config()}


def deserialize(config: Mapping[str, Any]) -> Metric:
    """A metric from its config; only pyrnn's own classes are known."""
    if config.get("class_name") not in _CLASSES:
        raise ValueError(f"metric: expected one of {', '.join(_CLASSES)}, got {config.get('class_name')!r}")
    return _CLASSES[config["class_name"]](**config["config"])
