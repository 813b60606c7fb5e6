"""Ctrl-C during training: it waits for a step of the optimiser to end, so that the weights are those of one step."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """Takes SIGINT while `fit` runs in the main thread.

    held: set while the weights change; a signal is then kept until `release`.

    Elsewhere it raises KeyboardInterrupt at once, as Python does; a call of the engine comes back within 50 ms.
    """

    __slots__ = ("_before", "_installed", "asked", "held")

    def __init__(self) -> None:
        self.held = self.asked = self._installed = False
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        # a handler of the user's own stays
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            self._before = signal.signal(signal.SIGINT, self._on_signal)
            self._installed = True
        return self

    def __exit__(self, *exception: object) -> None:
        self.held = False
        if self._installed:
            signal.signal(signal.SIGINT, self._before)
            self._installed = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.held and not self.asked:
            self.asked = True
            return
        raise KeyboardInterrupt

    def release(self) -> None:
        """The weights are whole again; raises what was asked for meanwhile."""
        self.held = False
        if self.asked:
            self.asked = False
            raise KeyboardInterrupt
