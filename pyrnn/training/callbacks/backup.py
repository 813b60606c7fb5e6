"""BackupAndRestore: a run that was stopped at any moment goes on to the bit."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from pyrnn import _files
from pyrnn.training import resume
from pyrnn.training.callbacks.base import Backup
from pyrnn.training.callbacks.monitors import check_save_freq

if TYPE_CHECKING:
    from pyrnn.training.loop import Loop

FILE = "latest.pyrnn"
PREVIOUS = "previous.pyrnn"


class BackupAndRestore(Backup):
    """Saves a run of `fit` as it goes, and goes on where it was stopped when the same script is run again.

    backup_dir: folder of its own for each run.
    save_freq: "epoch", or a number of batches.
    double_checkpoint: keep the file before the last one too, and take it where the last one is damaged.
    delete_checkpoint: delete the files when training has come to its end.

    A file holds the weights, the state of the optimiser, the position in the epoch and in the order of the samples,
    what metrics and callbacks have gathered, the states of stateful layers, and all random states. A run that is
    killed, at whatever moment, ends with the same bits as one that was left alone, whatever the number of threads. It
    takes arrays or a `utils.PyDataset`; what gives its batches only one after the other is refused. The `on_epoch_end`
    of a PyDataset is called again for each epoch that is done, before the random states are restored.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     BackupAndRestore(folder, save_freq=100).save_freq
    100

    Keras, https://keras.io/api/callbacks/backup_and_restore/
    """

    def __init__(
        self,
        backup_dir: str | PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if not backup_dir:
            raise ValueError("BackupAndRestore: backup_dir: expected a folder, got an empty name")
        self.backup_dir = fspath(backup_dir)
        self.save_freq = check_save_freq("BackupAndRestore", save_freq)
        self.double_checkpoint, self.delete_checkpoint = bool(double_checkpoint), bool(delete_checkpoint)
        self.every_batches = None if save_freq == "epoch" else int(save_freq)
        self._batches = 0

    @property
    def _file(self) -> Path:
        return Path(self.backup_dir) / FILE

    @property
    def _previous(self) -> Path:
        return Path(self.backup_dir) / PREVIOUS

    def restore(self, loop: Loop) -> None:
        self._batches = 0
        Path(self.backup_dir).mkdir(parents=True, exist_ok=True)
        _remove_halves(Path(self.backup_dir))
        for path in (self._file, self._previous):
            if not path.exists():
                continue
            try:
                saved = _files.read(path)
            except ValueError:
                if path == self._file and self._previous.exists():
                    continue
                raise
            resume.begin(loop, *saved, path)
            return

    def backup(self, loop: Loop) -> None:
        self._save(loop)

    def backup_batch(self, loop: Loop) -> None:
        self._batches += 1
        if self.every_batches is not None and self._batches >= self.every_batches:
            self._batches = 0
            self._save(loop)

    def interrupted(self, loop: Loop) -> None:
        if loop.between:
            self._save(loop)

    def _save(self, loop: Loop) -> None:
        config, tensors = resume.capture(loop)
        if self.double_checkpoint and self._file.exists():
            self._file.replace(self._previous)
        _files.write(self._file, config, tensors)

    def on_train_end(self, logs: object = None) -> None:
        if self.delete_checkpoint:
            # the older one first: a kill between the two must not leave it behind as the newest
            self._previous.unlink(missing_ok=True)
            self._file.unlink(missing_ok=True)
            _files.flush_folder(Path(self.backup_dir))

    def advice(self) -> str:
        return f"run the same script again: BackupAndRestore goes on from {self._file}"


def _remove_halves(folder: Path) -> None:
    """What a kill during a save has left."""
    for half in folder.glob(f".{FILE}.*"):
        half.unlink(missing_ok=True)
