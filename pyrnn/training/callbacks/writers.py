"""Callbacks that write what the logs say: a bar, a table, event files."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Any

from pyrnn.training.callbacks.base import Callback, Logs
from pyrnn.training.events import EventFile
from pyrnn.training.progress import Progress


class ProgbarLogger(Callback):
    """Shows how training goes: a bar on a terminal, one line an epoch in a log.

    Where `fit` is given verbose=1 or "auto" it adds one itself.
    """

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._progress = Progress(self.params["epochs"], self.params["steps"], self.params["verbose"])

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self._progress is not None:
            self._progress.begin_epoch(epoch)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._progress is not None:
            self._progress.update(batch + 1, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._progress is not None:
            self._progress.end_epoch(logs or {})

    def close(self) -> None:
        if self._progress is not None:
            self._progress.close()


class CSVLogger(Callback):
    """Writes the logs of every epoch as a line of a table.

    filename: file.
    separator: between the columns.
    append: continue a file that exists.

    >>> CSVLogger("log.csv", separator=";").separator
    ';'
    """

    def __init__(self, filename: str | PathLike[str], separator: str = ",", append: bool = False) -> None:
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"CSVLogger: separator: expected one character, got {separator!r}")
        self.filename, self.separator, self.append = fspath(filename), separator, bool(append)
        self.keys: list[str] | None = None
        self._file: IO[str] | None = None
        self._header = True

    def on_train_begin(self, logs: Logs | None = None) -> None:
        path = Path(self.filename)
        self.keys = None
        self._header = not (self.append and path.exists() and path.stat().st_size > 0)
        # neither truncated nor begun before an epoch is over: a run that goes on finds its lines
        self._begin: int | None = path.stat().st_size if self.append and path.exists() else 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        values = dict(logs or {})
        if self._file is None:
            self._open()
        assert self._file is not None
        if self.keys is None:
            self.keys = sorted(values)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
        writer = csv.writer(self._file, delimiter=self.separator)
        if self._header:
            writer.writerow(["epoch", *self.keys])
            self._header = False
        writer.writerow([epoch, *(values.get(key, "NA") for key in self.keys)])
        self._file.flush()

    def _open(self) -> None:
        self._file = open(self.filename, "a", newline="", encoding="utf-8")
        if self._begin is not None:
            self._file.truncate(self._begin)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def get_state(self) -> dict[str, Any]:
        size = self._file.tell() if self._file is not None else self._begin
        return {"keys": self.keys, "header": self._header, "size": size}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on after the lines of the epochs that are done."""
        self.close()
        path = Path(self.filename)
        if state["size"] and (not path.exists() or path.stat().st_size < state["size"]):
            raise ValueError(f"CSVLogger: {self.filename}: expected the file of the stopped run, got another or none")
        self.keys, self._header, self._begin = state["keys"], state["header"], state["size"]


class TensorBoard(Callback):
    """Writes the logs as event files that TensorBoard shows; nothing needs to be installed for that.

    log_dir: folder; the values of training are written into "train", those of validation into "validation".
    update_freq: "epoch", or "batch" or a number of batches to write the means of the epoch so far as well.
    write_steps_per_second: write how many batches a second were done.

    Histograms, graphs, images, profiles and embeddings are not written.

    >>> TensorBoard("logs", update_freq="batch").update_freq
    1

    TensorFlow, https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
    """

    def __init__(
        self,
        log_dir: str | PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = False,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        for argument, value in (
            ("histogram_freq", histogram_freq),
            ("write_graph", write_graph),
            ("write_images", write_images),
            ("profile_batch", profile_batch),
            ("embeddings_freq", embeddings_freq),
            ("embeddings_metadata", embeddings_metadata),
        ):
            if value:
                raise ValueError(
                    f"TensorBoard: {argument}={value!r} is not supported: only values of the logs are written"
                )
        if update_freq == "batch":
            update_freq = 1
        if update_freq != "epoch" and (isinstance(update_freq, (bool, str)) or update_freq < 1):
            raise ValueError(
                f"TensorBoard: update_freq: expected 'epoch', 'batch' or a number >= 1, got {update_freq!r}"
            )
        self.log_dir, self.update_freq = fspath(log_dir), update_freq
        self.write_steps_per_second = bool(write_steps_per_second)
        self._files: dict[str, EventFile] = {}
        self.steps = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.steps = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._began, self._began_at = time.perf_counter(), self.steps

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.steps += 1
        if self.update_freq != "epoch" and self.steps % int(self.update_freq) == 0:
            for name, value in (logs or {}).items():
                self._file("train").scalar(f"batch_{name}", value, self.steps)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for name, value in (logs or {}).items():
            part = "validation" if name.startswith("val_") else "train"
            self._file(part).scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
        self._file("train").scalar("epoch_learning_rate", self.model.optimizer.current_learning_rate(), epoch)
        if self.write_steps_per_second:
            rate = (self.steps - self._began_at) / max(time.perf_counter() - self._began, 1e-9)
            self._file("train").scalar("epoch_steps_per_second", rate, epoch)
        for file in self._files.values():
            file.flush()

    def _file(self, part: str) -> EventFile:
        if part not in self._files:
            self._files[part] = EventFile(Path(self.log_dir) / part)
        return self._files[part]

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.close()

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}

    def get_state(self) -> dict[str, Any]:
        return {"steps": self.steps}
