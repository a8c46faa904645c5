"""Contact sheet of a dataset: frames with outlined masks, and the faults of a dataset that a study refuses."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.outlines import outline, show_frame
from analysis.figures.sheet_rows import chosen_rows, sampled_frame
from analysis.figures.style import new_figure, styled
from trainables.data.records import PHASES, RGB, SPLITS
from trainables.data.store.frames import FrameStore
from trainables.data.store.sample import Sample, SampledSequence

STRUCTURES = ("#ff3b30", "#34c759", "#32ade6", "#ffcc00", "#ff9500", "#af52de", "#ff2d55", "#a2845e")
FAULT = "#ff00ff"
"""Colour of the frame around a sequence with faults, and of their names."""

_COLUMNS = 6
_PANEL = 1.9  # width in inches
_LINE = 1.0  # width of an outline in points


@dataclass(frozen=True, eq=False)
class Panel:
    """One panel of a sheet.

    Attributes:
        image: uint8 frame `(C, S, S)`.
        channel: channel to draw in grey; None draws the colours.
        mask: class indices `(S, S)`, or None.
        title: hashed subject, split, view and number of the frame.
        fault: text over a panel that is marked as faulty; "" for a sound one.
    """

    image: np.ndarray
    channel: int | None
    mask: np.ndarray | None
    title: str
    fault: str = ""


def contact_sheet(store: FrameStore, count: int = 24) -> Figure:
    """Draw frames of different subjects, views and phases, and slices across volumes, with outlined masks.

    Args:
        store: frame store of the dataset.
        count: largest number of frames; a frame with several channels takes one panel per channel, one in colours a
            single panel.
    """
    panels = []
    channels = [None] if store.channel_names == RGB else range(store.channels)
    for row in chosen_rows(store, count):
        place = store.index["mask"][row]
        mask = np.asarray(store.masks[place]) if place >= 0 else None
        for channel in channels:
            panels.append(Panel(np.asarray(store.images[row]), channel, mask, _title(store, row, channel)))
    return _drawn(panels, store.classes)


def fault_sheet(sample: Sample, image_size: int) -> Figure:
    """Draw one frame of each sampled sequence; those with faults have a coloured frame and the faults' names.

    Args:
        sample: sequences of the dataset.
        image_size: side of the frames in pixels.
    """
    return _drawn([_sampled(one, sample, image_size) for one in sample.sequences], sample.classes)


def _sampled(one: SampledSequence, sample: Sample, image_size: int) -> Panel:
    decoded, record = one.decoded, one.record
    channel = None if sample.channels == RGB else 0
    upper = f"{one.subject[:6]} ({one.split or 'no split'})"
    fault = "\n".join(one.faults)
    if not decoded.frames:
        blank = np.zeros((len(sample.channels), image_size, image_size), np.uint8)
        return Panel(blank, channel, None, f"{upper}\n{record.view}", fault or "no frame")
    place = sampled_frame(decoded)
    frame = decoded.frames[place]
    what = "slice" if record.stack else "frame"
    title = " ".join(filter(None, (record.view, record.labelled.get(frame, ""), what, str(frame))))
    return Panel(decoded.images[place], channel, (decoded.masks or {}).get(frame), f"{upper}\n{title}", fault)


def _drawn(panels: Sequence[Panel], classes: Sequence[str]) -> Figure:
    colours = [STRUCTURES[label % len(STRUCTURES)] for label in range(len(classes) - 1)]
    columns = max(1, min(_COLUMNS, len(panels)))
    lines = max(1, -(-len(panels) // columns))
    with styled(axes_grid=False):
        figure = new_figure(_PANEL * columns + 0.2, 2.1 * lines + 0.8)
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for one, panel in zip(axes, panels, strict=False):
            _draw(one, panel, colours)
        for one in axes[len(panels) :]:
            one.set_visible(False)
        _legend(figure, classes[1:], colours)
    return figure


def _draw(axes: Axes, panel: Panel, colours: Sequence[str]) -> None:
    show_frame(axes, panel.image, panel.channel)
    if panel.mask is not None:
        pixels_per_point = panel.mask.shape[1] / (72 * _PANEL)
        outline(axes, panel.mask, colours, width=_LINE, inset=_LINE * pixels_per_point / 2)
    if panel.fault:
        axes.spines[:].set(visible=True, color=FAULT, linewidth=3)
        text = "\n".join(textwrap.fill(line, 22) for line in panel.fault.splitlines())
        axes.text(0.5, 0.5, text, transform=axes.transAxes, color=FAULT, fontsize=7, ha="center", va="center")
    axes.set_title(panel.title, fontsize=6.5, loc="center")


def _legend(figure: Figure, names: Sequence[str], colours: Sequence[str]) -> None:
    handles = [Line2D([], [], color=colour, lw=2, label=name) for name, colour in zip(names, colours, strict=True)]
    if not handles:
        return
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6), fontsize=8)
    legend.set_frame_on(True)
    legend.get_frame().set(facecolor="#222222", edgecolor="none", alpha=1)
    for text in legend.get_texts():
        text.set_color("white")


def _title(store: FrameStore, row: int, channel: int | None) -> str:
    entry = store.index[row]
    what = "slice" if entry["stack"] else "frame"
    named = [store.views[entry["view"]], PHASES[entry["phase"]]]
    named += [store.channel_names[channel]] if channel is not None and store.channels > 1 else []
    upper = f"{store.subjects[entry['subject']][:6]} ({SPLITS[entry['split']]})"
    return f"{upper}\n{' '.join(filter(None, named))} {what} {entry['frame']}"
