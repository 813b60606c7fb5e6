"""What `compile` makes of a model, and what a model must say of itself to be trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from pyrnn import optimizers
from pyrnn._types import Array
from pyrnn.layers.base import Layer
from pyrnn.layers.parameters import Parameter
from pyrnn.optimizers import Optimizer
from pyrnn.training.arguments import not_supported
from pyrnn.training.goals import Compiled, Goals
from pyrnn.training.sources import Shapes, Source
from pyrnn.training.state import layers_below
from pyrnn.training.weights import load_weights, save_weights

if TYPE_CHECKING:
    from pyrnn.training.callbacks.base import History
    from pyrnn.training.step import Pass, TrainStep


class Compilable(ABC):
    """What the models have before they run: layers, what they are compiled with, their weights as files."""

    name: str
    optimizer: Optimizer
    history: History
    stop_training = False
    _goals: Goals | None = None
    _compiled: Compiled | None = None
    _pass: TrainStep | None = None

    # What a model writes ------------------------------------------------------------------------------------------

    @abstractmethod
    def new_pass(self, training: bool) -> Pass:
        """A pass over the layers, with storage of its own."""

    @property
    @abstractmethod
    def input_names(self) -> list[str]:
        """Names of the inputs."""

    @property
    @abstractmethod
    def output_names(self) -> list[str]:
        """Names of the outputs."""

    @property
    @abstractmethod
    def weight_names(self) -> list[str]:
        """Names of the arrays of `get_weights`."""

    @abstractmethod
    def trainable_parameters(self) -> list[Parameter]:
        """What the optimiser steps."""

    @abstractmethod
    def stateful_layers(self) -> list[Any]:
        """The layers that carry states from batch to batch."""

    @abstractmethod
    def check_inputs(self, arrays: Sequence[Array]) -> None:
        """Build the model for the arrays where it is not built; raise ValueError where they do not fit."""

    @abstractmethod
    def arrange_outputs(self, outputs: list[Any]) -> Any:
        """The outputs as the model was given them: one, a list or a dict."""

    @abstractmethod
    def get_weights(self) -> list[Array]:
        """Copies of all weights, in Keras's order and layout."""

    @abstractmethod
    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all weights from arrays in Keras's order and layout."""

    @abstractmethod
    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the model to a file."""

    def flat_layers(self) -> list[Layer]:
        """All layers, those inside others too, each once."""
        assert isinstance(self, Layer)
        return list({id(layer): layer for layer in layers_below(self)}.values())

    # Compiling ----------------------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Say how the model is trained.

        optimizer: name or Optimizer.
        loss: name or Loss; for several outputs a list, or a dict by their names, None for an output that is not
            trained on; one for all where it is one.
        loss_weights: a number for each output, as a list or dict; the model's loss is the sum of the losses times it.
        metrics: list of names or Metrics; "accuracy" is the one that fits the shapes. For several outputs a list of
            lists, or a dict.
        weighted_metrics: the same, for metrics that sample_weight and class_weight count in.

        Keras, https://keras.io/api/models/model_training_apis/
        """
        not_supported("compile", kwargs)
        compiled = Compiled(loss, loss_weights, metrics, weighted_metrics)
        made = optimizers.get(optimizer)
        several = any(isinstance(part, (dict, list)) for part in (loss, loss_weights))
        names = self.output_names if self._is_built() else (None if several else ["output"])
        goals = None if names is None else Goals(names, compiled)
        self.optimizer, self._compiled, self._goals = made, compiled, goals
        if not self._is_built():
            self._goals = None  # the names of the outputs are not known yet
        self._pass = None

    @property
    def goals(self) -> Goals:
        """The losses and metrics of the outputs."""
        if self._goals is None:
            assert self._compiled is not None
            self._goals = Goals(self.output_names, self._compiled)
        return self._goals

    @property
    def loss(self) -> Any:
        """What `compile` was given as loss."""
        return None if self._compiled is None else self._compiled.loss

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._compiled is not None

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was given, as plain values, with the number of steps that were taken."""
        self._check_compiled("get_compile_config")
        goals = self.goals if self._is_built() else Goals(["output"], self._compiled)  # type: ignore[arg-type]
        optimizer = {"optimizer": optimizers.serialize(self.optimizer), "iterations": self.optimizer.iterations}
        return optimizer | goals.get_config()

    @property
    def metrics_names(self) -> list[str]:
        """Names of the values that `evaluate` returns."""
        self._check_compiled("metrics_names")
        return self.goals.names if self._is_built() else Goals(["output"], self._compiled).names  # type: ignore[arg-type]

    def _is_built(self) -> bool:
        return bool(getattr(self, "built", False)) and bool(self.output_names)

    def _check_compiled(self, what: str) -> None:
        if self._compiled is None:
            raise RuntimeError(f"{what}: the model is not compiled: call compile(optimizer=..., loss=...)")

    # For the passes -----------------------------------------------------------------------------------------------

    def _shapes(self, owner: str, class_weight: Any = None, need_y: bool = True) -> Shapes:
        outputs = self.output_names if self._is_built() else ["output"]
        return Shapes(owner, self.input_names or ["input"], outputs, class_weight, need_y)

    def _build_by(self, source: Source) -> None:
        """Build the model for the data where it is not built; raise where they do not fit."""
        first = source.first
        if first is not None:
            self.check_inputs(first.x)

    def _returned(self, values: dict[str, float], as_dict: bool) -> Any:
        if as_dict:
            return values
        each = [values[name] for name in self.goals.names]
        return each if len(each) > 1 else each[0]

    # Saving -------------------------------------------------------------------------------------------------------

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the weights alone to a file; `load_weights` reads it. See `pyrnn.saving`."""
        save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: str | PathLike[str]) -> None:
        """Set the weights from a file of `save_weights` or `save`.

        Raises ValueError where names or shapes are others, or where the file is damaged.
        """
        load_weights(self, filepath)
