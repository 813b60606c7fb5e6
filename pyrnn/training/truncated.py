"""Truncated backpropagation through time: steps on pieces of the sequences, the states carried between them.

Williams & Peng 1990, An efficient gradient-based algorithm for on-line training of recurrent network trajectories,
Neural Computation 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pyrnn.training.sources import Batch
from pyrnn.training.step import TrainStep

if TYPE_CHECKING:
    from pyrnn.training.compilable import Compilable

# what sees all steps of a sequence at once, or gives none back
_MIX_STEPS = {
    "AdditiveAttention", "Attention", "AveragePooling1D", "Bidirectional", "Conv1D", "Dot", "Flatten",
    "GlobalAveragePooling1D", "GlobalMaxPooling1D", "MaxPooling1D", "Permute", "RepeatVector", "Reshape",
}  # fmt: skip


class TruncatedSteps:
    """Steps of the optimiser on pieces of `length` steps of every batch.

    The recurrent layers start each batch from zeros, carry their states from piece to piece, and no gradient flows
    back over the border of a piece.
    """

    def __init__(self, model: Compilable, step: TrainStep, length: int) -> None:
        self.step, self.length = step, length
        self._layers = recurrent_layers(model)

    def __call__(self, batch: Batch) -> float:
        """Returns the mean loss of the pieces, weighted by their lengths."""
        before = [layer.stateful for layer in self._layers]
        for layer in self._layers:
            layer.reset_state()
            layer.stateful = True
        total, steps = 0.0, 0
        try:
            for piece, count in self._pieces(batch):
                self.step.count = count
                total += self.step(piece) * count
                steps += count
                if self.step.interrupts is not None:
                    self.step.interrupts.release()
        finally:
            self.step.count = 1
            for layer, stateful in zip(self._layers, before, strict=True):
                layer.stateful = stateful
                layer.reset_state()
        return total / max(steps, 1)

    def _pieces(self, batch: Batch) -> Iterator[tuple[Batch, int]]:
        steps = _number_of_steps(batch)
        for begin in range(0, steps, self.length):
            piece = slice(begin, min(begin + self.length, steps))
            yield (
                Batch(
                    [x[:, piece] for x in batch.x],
                    [None if y is None else y[:, piece] for y in batch.y],
                    [None if w is None else (w[:, piece] if w.ndim > 1 else w) for w in batch.weights],
                ),
                piece.stop - piece.start,
            )


def _number_of_steps(batch: Batch) -> int:
    """T, which all inputs and targets of a batch have as their second axis."""
    first = batch.x[0]
    if first.ndim < 2:
        raise ValueError(f"tbptt: expected sequences x (N, T, ...), got {first.shape}")
    steps = first.shape[1]
    for argument, arrays in (("x", batch.x), ("y", batch.y)):
        for array in arrays:
            if array is not None and (array.ndim < 2 or array.shape[1] != steps):
                raise ValueError(
                    f"tbptt: {argument}: expected arrays (N, T, ...) with T = {steps}, a value at every step, "
                    f"got {array.shape}"
                )
    return int(steps)


def recurrent_layers(model: Compilable) -> list[Any]:
    """The layers that carry a state from piece to piece; raises for a model that cannot be cut."""
    found = []
    for layer in model.flat_layers():
        kind = type(layer).__name__
        if kind in _MIX_STEPS:
            raise ValueError(
                f"tbptt: expected a model whose layers take the steps one after the other, got {layer.name} ({kind}), "
                "which needs the whole sequence: leave tbptt out, or use memory_budget= where memory is short"
            )
        if not hasattr(layer, "return_sequences"):
            continue
        if getattr(layer, "go_backwards", False):
            raise ValueError(f"tbptt: expected layers that go forward in time, got {layer.name} with go_backwards=True")
        if not layer.return_sequences:
            raise ValueError(
                f"tbptt: expected an output at every step, got {layer.name} with return_sequences=False: set it to True"
            )
        found.append(layer)
    if not found:
        raise ValueError("tbptt: expected a model with recurrent layers, got none")
    return found
