"""The README's Keras table says what there is: every name in it is one of pyrnn's."""

import re
from pathlib import Path
from typing import Any

import pytest

import pyrnn
from pyrnn import callbacks, layers, losses, metrics, models, optimizers

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SECTION = README[README.index("## Keras") : README.index("## Speed")]
PLACES: dict[str, list[Any]] = {
    "models": [pyrnn],
    "recurrent layers": [layers],
    "other layers": [layers],
    "training": [pyrnn.Model, pyrnn],
    "losses": [losses],
    "metrics": [metrics],
    "optimizers": [optimizers, optimizers.schedules, optimizers.Adam(), pyrnn],
    "callbacks": [callbacks],
    "files": [models, pyrnn.Model, pyrnn],
    "data": [pyrnn],
}
_ROW = re.compile(r"^\| ([a-z ]+) \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
ROWS = {cells[0]: cells[1:] for cells in _ROW.findall(SECTION)}


def names(cell: str) -> list[str]:
    """Classes, functions and attributes; words with an = are arguments."""
    return [name for name in re.findall(r"`([A-Za-z_0-9.]+)(?:\([^`]*\))?`", cell) if name]


def has(place: Any, name: str) -> bool:
    for part in name.removeprefix("model.").split("."):
        if not hasattr(place, part):
            return False
        place = getattr(place, part)
    return True


def test_the_table_is_there() -> None:
    assert set(PLACES) <= set(ROWS)


@pytest.mark.parametrize("row", PLACES)
def test_what_is_said_to_be_there_is_there(row: str) -> None:
    arguments = {"reset_after", "stateful", "loss_weights", "class_weight", "sample_weight", "validation_split"}
    arguments |= {"steps_per_epoch", "schedules", "Input", "layer.output", "pickle", "copy", "step", "step_backward"}
    arguments |= {"layer.path", "loss_and_gradient", "weight_decay", "gradient_accumulation_steps"}
    given = [name for cell in ROWS[row][:2] for name in names(cell) if name not in arguments]
    assert given
    missing = [name for name in given if not any(has(place, name) for place in PLACES[row])]
    assert not missing


def test_every_layer_loss_metric_and_callback_is_in_the_table() -> None:
    table = " ".join(" ".join(cells) for cells in ROWS.values())
    internal = {
        "Call",
        "Layer",
        "Run",
        "GetItem",
        "InputLayer",
        "Lambda",
        "LAYERS",
        "SlowPathWarning",
        "Callback",
        "Loss",
    }
    public = [*layers.__all__, *callbacks.__all__]
    assert [name for name in public if name[0].isupper() and name not in internal and f"`{name}`" not in table] == []
