"""Names of the activation functions that layers take; the functions themselves are in the engine."""

from __future__ import annotations

from typing import Any

NAMES = (
    "linear",
    "tanh",
    "sigmoid",
    "hard_sigmoid",
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "softplus",
    "softsign",
    "exponential",
    "softmax",
)


def get(identifier: Any, argument: str = "activation") -> str:
    """The name of an activation; None is "linear".

    >>> get(None)
    'linear'
    """
    if identifier is None:
        return "linear"
    if not isinstance(identifier, str):
        raise TypeError(f"{argument}: expected a name ({', '.join(NAMES)}) or None, got {identifier!r}")
    if identifier not in NAMES:
        raise ValueError(f"{argument}: expected one of {', '.join(NAMES)}, got {identifier!r}")
    return identifier
