"""What `fit` calls as it goes: Keras's callbacks."""

from pyrnn.training.callbacks.backup import BackupAndRestore
from pyrnn.training.callbacks.base import Callback, CallbackList, History
from pyrnn.training.callbacks.monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from pyrnn.training.callbacks.simple import LambdaCallback, LearningRateScheduler, NaNWatch, TerminateOnNaN
from pyrnn.training.callbacks.writers import CSVLogger, ProgbarLogger, TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "NaNWatch",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]
