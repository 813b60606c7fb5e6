"""How far training has come: a bar on a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

REFRESH_S = 0.1


def on_terminal() -> bool:
    """Whether what is printed is seen as it comes."""
    return sys.stdout is not None and sys.stdout.isatty()


class Progress:
    """Progress of a training run.

    epochs: in all.
    steps: batches of an epoch, None where that is not known.
    verbose: 1 for a bar (lines where stdout is not a terminal), 2 for lines.
    """

    def __init__(self, epochs: int, steps: int | None, verbose: int) -> None:
        self._epochs, self._steps = epochs, steps
        self._bars = verbose == 1 and on_terminal()
        self._bar: Any = None
        self._epoch = self._done_epochs = 0
        self._begin = self._epoch_begin = self._next = time.perf_counter()

    def begin_epoch(self, epoch: int) -> None:
        """An epoch starts."""
        self._epoch = epoch
        self._epoch_begin = self._next = time.perf_counter()
        if self._bars:
            from tqdm import tqdm

            self._bar = tqdm(
                total=self._steps,
                desc=f"Epoch {epoch + 1}/{self._epochs}",
                file=sys.stdout,
                leave=False,
                dynamic_ncols=True,
                unit="batch",
                mininterval=0,  # `update` below keeps the pace
                miniters=1,
            )

    def update(self, step: int, logs: Mapping[str, float]) -> None:
        """`step` batches of the epoch are done."""
        if self._bar is None or (time.perf_counter() < self._next and step != self._steps):
            return
        self._next = time.perf_counter() + REFRESH_S
        self._bar.set_postfix_str(show(logs, ", "), refresh=False)
        self._bar.update(step - self._bar.n)

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        """An epoch is over, validation included."""
        self.close()
        now = time.perf_counter()
        self._done_epochs += 1
        left = (now - self._begin) / self._done_epochs * (self._epochs - self._epoch - 1)
        parts = [f"Epoch {self._epoch + 1}/{self._epochs}", duration(now - self._epoch_begin), show(logs, " - ")]
        if self._epoch + 1 < self._epochs:
            parts.append(f"{duration(left)} left")
        print(" - ".join(parts), flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class PassProgress:
    """Progress of evaluate or predict: a bar that appears on a terminal after a second and goes away."""

    def __init__(self, what: str, steps: int | None, verbose: int) -> None:
        self._bar: Any = None
        if verbose == 1 and steps != 1 and on_terminal():
            from tqdm import tqdm

            self._bar = tqdm(
                total=steps, desc=what, file=sys.stdout, leave=False, dynamic_ncols=True, unit="batch", delay=1.0
            )

    def update(self) -> None:
        """One more batch is done."""
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


def show(logs: Mapping[str, float], separator: str) -> str:
    """Logs as text.

    >>> show({"loss": 0.51234, "accuracy": 0.00004}, ", ")
    'loss: 0.5123, accuracy: 4.0000e-05'
    """
    return separator.join(
        f"{name}: {value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{name}: {value:.4e}"
        for name, value in logs.items()
    )


def duration(seconds: float) -> str:
    """A time span as text.

    >>> duration(0.25), duration(75), duration(7300)
    ('0.2s', '1m15s', '2h01m')
    """
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"
