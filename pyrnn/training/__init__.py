"""fit, evaluate and predict, for any model that can run forward and backward."""

from pyrnn.training.callbacks import (
    Callback,
    EarlyStopping,
    History,
    LambdaCallback,
    ModelCheckpoint,
    ProgbarLogger,
    TerminateOnNaN,
)
from pyrnn.training.trainer import Trainer

__all__ = [
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "ModelCheckpoint",
    "ProgbarLogger",
    "TerminateOnNaN",
    "Trainer",
]
