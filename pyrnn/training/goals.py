"""What the outputs of a model are measured by: a loss, its weight and the metrics, for each output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pyrnn import losses, metrics, ops
from pyrnn._types import Array
from pyrnn.losses import Loss
from pyrnn.metrics import MetricSet


class Compiled(NamedTuple):
    """What `compile` was given, before the outputs of the model are known."""

    loss: Any
    loss_weights: Any
    metrics: Any
    weighted_metrics: Any


class Goal:
    """One output.

    loss: None where it is not trained on.
    weight: its share of the model's loss.
    fused: the loss takes over the last activation.
    """

    __slots__ = ("fused", "loss", "metrics", "name", "shapes", "total", "weight", "weighted")

    def __init__(self, name: str, loss: Loss | None, weight: float, unweighted: MetricSet, weighted: MetricSet) -> None:
        self.name, self.loss, self.weight = name, loss, weight
        self.metrics, self.weighted = unweighted, weighted
        self.fused = False
        self.total = 0.0
        # of the target and the output that the metrics were chosen by
        self.shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None


class Goals:
    """All outputs of a model, and what was gathered over the batches of an epoch.

    names: of the outputs.
    compiled: what `compile` was given.
    """

    def __init__(self, names: Sequence[str], compiled: Compiled) -> None:
        given_losses = _losses(compiled.loss, names)
        weights = _loss_weights(compiled.loss_weights, names, given_losses)
        sets = [_metrics(a, getattr(compiled, a), names) for a in ("metrics", "weighted_metrics")]
        self.goals = [Goal(*each) for each in zip(names, given_losses, weights, *sets, strict=True)]
        self.single = len(self.goals) == 1
        self._keys = self._name_all()
        self._trained = [goal for goal in self.goals if goal.loss is not None]
        self._measured = [
            (i, goal) for i, goal in enumerate(self.goals) if goal.metrics.metrics or goal.weighted.metrics
        ]
        self.total, self.seen = 0.0, 0

    def _name_all(self) -> list[tuple[MetricSet, list[str]]]:
        """The keys of the logs for every set of metrics, in the order of Keras's logs."""
        taken: set[str] = {"loss"}
        if not self.single:
            taken |= {f"{goal.name}_loss" for goal in self.goals}
        named = []
        for kind in ("metrics", "weighted"):
            for goal in self.goals:
                chosen: MetricSet = getattr(goal, kind)
                prefix = "" if self.single else f"{goal.name}_"
                keys = []
                for name in chosen.names:
                    key = prefix + name
                    if key in taken and kind == "weighted":
                        key = f"{prefix}weighted_{name}"
                    i = 1
                    while key in taken:
                        key, i = f"{prefix}{name}_{i}", i + 1
                    taken.add(key)
                    keys.append(key)
                named.append((chosen, keys))
        return named

    @property
    def names(self) -> list[str]:
        """Keys of the logs, in the order of what `evaluate` returns."""
        keys = [key for _, each in self._keys for key in each]
        return ["loss", *self._loss_names(), *(keys if self.single else sorted(keys))]

    def _loss_names(self) -> list[str]:
        return [f"{goal.name}_loss" for goal in self._trained] if len(self._trained) > 1 else []

    def attach(self, running: Any) -> None:
        """Let the losses of a pass take over the last activations that they belong to."""
        for i, goal in enumerate(self.goals):
            loss = goal.loss
            goal.fused = loss is not None and not loss.from_logits and loss.fuses == running.activations[i]
            running.leave_last_activation(i, goal.fused)

    def compute(
        self, running: Any, outputs: Sequence[Array], y: Sequence[Any], weights: Sequence[Any], need_grad: bool
    ) -> tuple[float, list[float], list[Array | None]]:
        """The loss of a batch, those of its outputs, and the gradients by the outputs."""
        total, values, dys = 0.0, [], []
        for i, goal in enumerate(self.goals):
            loss, dy = goal.loss, None
            value = 0.0
            if loss is not None:
                if y[i] is None:
                    raise ValueError(f"y[{goal.name!r}]: expected an array, got None")
                value, dy = loss.compute(
                    y[i], outputs[i], weights[i], mask=running.masks[i], fused=goal.fused, need_grad=need_grad
                )
                if goal.weight != 1.0:
                    total += goal.weight * value
                    if dy is not None:
                        dy *= dy.dtype.type(goal.weight)
                else:
                    total += value
            values.append(value)
            dys.append(dy)
        return total, values, dys

    def gather(
        self,
        running: Any,
        outputs: Sequence[Array],
        y: Sequence[Any],
        weights: Sequence[Any],
        loss: float,
        values: Sequence[float],
        count: int,
    ) -> None:
        """Add a batch of `count` samples to the means."""
        self.total += loss * count
        self.seen += count
        if not self.single:
            for goal, value in zip(self.goals, values, strict=True):
                goal.total += value * count
        for i, goal in self._measured:
            if y[i] is not None:
                self._measure(goal, running.activations[i], outputs[i], y[i], running.masks[i], weights[i])

    @staticmethod
    def _measure(goal: Goal, activation: str, output: Array, y: Array, mask: Any, weights: Any) -> None:
        plain = None
        for chosen, given in ((goal.metrics, None), (goal.weighted, weights)):
            if not chosen.metrics:
                continue
            if chosen.first_batch:
                chosen.choose(y, output)
                goal.shapes = (y.shape, output.shape)
            if goal.fused and not chosen.accept_logits:
                plain = ops.activation_forward(activation, output) if plain is None else plain
                chosen.update(y, plain, mask, given)
            else:
                chosen.update(y, output, mask, given)

    def reset(self) -> None:
        """Forget what was gathered."""
        self.total, self.seen = 0.0, 0
        for goal in self.goals:
            goal.total, goal.shapes = 0.0, None
            goal.metrics.reset()
            goal.weighted.reset()

    def results(self) -> dict[str, float]:
        """The logs so far."""
        logs = {"loss": self.total / self.seen if self.seen else 0.0}
        if len(self._trained) > 1:
            for goal in self._trained:
                logs[f"{goal.name}_loss"] = goal.total / self.seen if self.seen else 0.0
        measured: dict[str, float] = {}
        for chosen, keys in self._keys:
            if keys:
                measured.update(zip(keys, chosen.results().values(), strict=True))
        if self.single:
            return logs | measured
        return logs | {key: measured[key] for key in sorted(measured)}

    # Saving -------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """What `compile` needs to make the same again."""
        each = [goal.loss for goal in self.goals]
        return {
            "loss": [None if loss is None else losses.serialize(loss) for loss in each],
            "loss_weights": [goal.weight for goal in self.goals],
            "metrics": [[metrics.serialize(m) for m in goal.metrics.metrics] for goal in self.goals],
            "weighted_metrics": [[metrics.serialize(m) for m in goal.weighted.metrics] for goal in self.goals],
        }

    def sets(self) -> list[MetricSet]:
        """The sets of metrics, in a fixed order."""
        return [chosen for goal in self.goals for chosen in (goal.metrics, goal.weighted)]


def compiled_from_config(config: Mapping[str, Any]) -> Compiled:
    """The way back from `Goals.get_config`."""
    single = len(config["loss"]) == 1

    def unwrap(items: list[Any]) -> Any:
        return items[0] if single else items

    return Compiled(
        unwrap([None if loss is None else losses.deserialize(loss) for loss in config["loss"]]),
        [float(weight) for weight in config["loss_weights"]],
        unwrap([[metrics.deserialize(m) for m in each] for each in config["metrics"]]),
        unwrap([[metrics.deserialize(m) for m in each] for each in config["weighted_metrics"]]),
    )


def _losses(given: Any, names: Sequence[str]) -> list[Loss | None]:
    if given is None:
        raise ValueError("compile: loss: expected a name or a Loss, got None")
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown or len(given) != len(names):
            raise ValueError(f"compile: loss: expected a dict of {list(names)}, got {list(given)}")
        each = [given[name] for name in names]
    elif isinstance(given, (list, tuple)):
        if len(given) != len(names):
            raise ValueError(f"compile: loss: expected {len(names)} losses for {list(names)}, got {len(given)}")
        each = list(given)
    elif len(names) > 1 and isinstance(given, Loss):
        each = [given] * len(names)
    else:
        each = [given] * len(names)
    found = [None if loss is None else losses.get(loss) for loss in each]
    if all(loss is None for loss in found):
        raise ValueError("compile: loss: expected a loss for at least one output, got None for all")
    return found


def _loss_weights(given: Any, names: Sequence[str], found: Sequence[Any]) -> list[float]:
    if given is None:
        return [1.0] * len(names)
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(f"compile: loss_weights: expected a dict of {list(names)}, got {list(given)}")
        each = [given.get(name, 1.0) for name in names]
    elif isinstance(given, (list, tuple)):
        each = list(given)
    else:
        each = [given]
    if len(each) != len(names):
        raise ValueError(f"compile: loss_weights: expected {len(names)} numbers for {list(names)}, got {given!r}")
    for weight in each:
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            raise TypeError(f"compile: loss_weights: expected numbers, got {weight!r}")
    return [float(weight) for weight in each]


def _metrics(argument: str, given: Any, names: Sequence[str]) -> list[MetricSet]:
    if given is None:
        given = []
    if not isinstance(given, (list, tuple, Mapping)):
        raise TypeError(f"compile: {argument}: expected a list of names or Metrics, or a dict of lists, got {given!r}")
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(f"compile: {argument}: expected a dict of {list(names)}, got {list(given)}")
        each = [given.get(name) for name in names]
    elif len(names) == 1:
        flat: list[Any] = []
        for item in given:
            flat += item if isinstance(item, (list, tuple)) else [item]
        each = [flat]
    elif not given:
        each = [None] * len(names)
    elif len(given) == len(names):
        each = list(given)
    else:
        raise ValueError(
            f"compile: {argument}: expected one entry for each output {list(names)} or a dict of them, got {given!r}"
        )
    return [_metric_set(one) for one in each]


def _metric_set(given: Any) -> MetricSet:
    items = [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
    return MetricSet([metrics.get(metric) for metric in items])
