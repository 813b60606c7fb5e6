"""A picture of the addition task: how it was learnt, and the network at work on one sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from pyrnn.tasks.addition import Workings

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def require_matplotlib() -> None:
    """Raises the ImportError that names the extra where matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "pyrnn-engine[plot]"') from error


def draw(workings: Workings, history: Mapping[str, Sequence[float]] | None = None) -> Figure:
    """The learning curve (where there is a history) above the hidden states along the characters read and written."""
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 9 if history else 6), layout="constrained")
    if history:
        halves: Any = figure.subfigures(2, 1, height_ratios=[1, 1.6])
        curve, states = halves
        _draw_curve(curve, history)
        _draw_states(states, workings)
    else:
        _draw_states(figure, workings)
    return figure


def save_plot(
    file: str | PathLike[str], workings: Workings, history: Mapping[str, Sequence[float]] | None = None
) -> None:
    """Writes `draw`'s figure in the format that the name of the file ends in, such as .png, .svg or .pdf."""
    draw(workings, history).savefig(file, dpi=150)


def plot_formats() -> list[str]:
    """Endings of file names that `save_plot` knows."""
    require_matplotlib()
    from matplotlib.figure import Figure

    return sorted(Figure().canvas.get_supported_filetypes())


def _draw_curve(figure: Any, history: Mapping[str, Sequence[float]]) -> None:
    losses, shares = figure.subplots(1, 2)
    epochs = range(1, len(history["loss"]) + 1)
    losses.semilogy(epochs, history["loss"], label="training")
    losses.semilogy(epochs, history["val_loss"], label="validation")
    losses.set(title="cross-entropy a character", xlabel="epoch")
    losses.legend()
    shares.plot(epochs, history["val_accuracy"], label="characters")
    shares.plot(epochs, history["val_exact_match"], label="whole sums")
    shares.set(title="share that is right (validation)", xlabel="epoch", ylim=(-0.02, 1.02))
    shares.legend()


def _draw_states(figure: Any, workings: Workings) -> None:
    panels = [
        ("reads", workings.read, workings.encoder),
        ("writes", workings.written, workings.decoder),
    ]
    axes = figure.subplots(1, 2, sharey=True, width_ratios=[max(len(text), 2) for _, text, _ in panels])
    for ax, (title, text, states) in zip(axes, panels, strict=True):
        image = ax.imshow(states.T, aspect="auto", cmap="RdBu", vmin=-1, vmax=1, interpolation="nearest")
        ax.set(title=title, xticks=range(len(text)), xticklabels=["␣" if c == " " else c for c in text])
    axes[0].set_ylabel("hidden unit")
    figure.colorbar(image, ax=axes, label="state")
    figure.suptitle(f"the network at work: {workings.sum}={workings.written.strip()}")
