"""Frames of a store with outlines of masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.ndimage import binary_fill_holes, distance_transform_edt

from trainables.data.store.frames import FrameStore

TRUTH = "#ff2020"


def show_frame(axes: Axes, image: np.ndarray, channel: int | None = None) -> None:
    """Draw a stored frame, uint8 `(C, S, S)`, without axes.

    Args:
        axes: axes to draw on.
        image: pixel values of the frame.
        channel: channel to draw in grey; None draws three channels as colours, otherwise the first channel.
    """
    if channel is None and len(image) == 3:
        axes.imshow(image.transpose(1, 2, 0))
    else:
        axes.imshow(image[channel or 0], cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def outline(
    axes: Axes, mask: np.ndarray, colours: Sequence[str], dash: object = "-", width: float = 1.5, inset: float = 0.0
) -> None:
    """Draw the outline of every foreground class, the first on top; outlines are closed at the image's border.

    Args:
        axes: axes that show the frame.
        mask: class indices `(S, S)`.
        colours: one colour per foreground class.
        dash: matplotlib line style.
        width: line width in points.
        inset: distance in pixels by which a line lies inside its class, so that the lines of two classes that touch do
            not cover each other; where a class is thinner, its line runs along its middle.
    """
    for label, colour in reversed(list(enumerate(colours, 1))):
        area = np.pad((_enclosing(mask, label) if inset else mask == label).astype(np.float64), 1)
        if area.any():
            depth = distance_transform_edt(area) if inset else area
            level = min(0.5 + inset, 0.9 * float(depth.max()))
            places = np.arange(-1, mask.shape[0] + 1), np.arange(-1, mask.shape[1] + 1)
            style: dict[str, Any] = {"levels": [level], "colors": [colour], "linestyles": [dash], "linewidths": width}
            axes.contour(places[1], places[0], depth, **style)
    axes.set_xlim(-0.5, mask.shape[1] - 0.5)
    axes.set_ylim(mask.shape[0] - 0.5, -0.5)


def _enclosing(mask: np.ndarray, label: int) -> np.ndarray:
    """Return the area of a class with the structures that it encloses, bool `(S, S)`."""
    area = mask == label
    return np.asarray(area | (binary_fill_holes(area) & (mask > 0)))


def truth_and_predicted(axes: Axes, store: FrameStore, row: int, predicted: np.ndarray, colour: str, dash: Any) -> None:
    """Draw a frame with the borders of its true mask and of a predicted one `(S, S)`."""
    show_frame(axes, np.asarray(store.images[row]))
    structures = len(store.classes) - 1
    outline(axes, np.asarray(store.masks[store.index["mask"][row]]), [TRUTH] * structures)
    outline(axes, predicted, [colour] * structures, dash)


def legend(figure: Figure, predicted: Mapping[str, tuple[str, Any]]) -> None:
    """Say below the panels which border is the truth, and whose are the others: (colour, dash) by name."""
    handles = [Line2D([], [], color=TRUTH, lw=2, label="truth")]
    handles += [Line2D([], [], color=c, linestyle=dash, lw=2, label=name) for name, (c, dash) in predicted.items()]
    box = figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5), handlelength=3.2)
    box.set_frame_on(True)
    box.get_frame().set(facecolor="#222222", edgecolor="none", alpha=1)
    for text in box.get_texts():
        text.set_color("white")
