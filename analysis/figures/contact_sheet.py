"""Contact sheet of a frame store: frames with outlined masks, to check a dataset before a study."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.outlines import outline, show_frame
from analysis.figures.style import new_figure, styled
from trainables.data.records import PHASES, SPLITS
from trainables.data.store.frames import FrameStore

STRUCTURES = ("#ff3b30", "#34c759", "#32ade6", "#ffcc00", "#ff9500", "#af52de", "#ff2d55", "#a2845e")
_COLUMNS = 6


def contact_sheet(store: FrameStore, count: int = 24) -> Figure:
    """Draw frames of different subjects, views and phases with outlined masks.

    Args:
        store: frame store of the dataset.
        count: largest number of frames; a frame with several channels takes one panel per channel.
    """
    rows = chosen_rows(store, count)
    panels = [(row, channel) for row in rows for channel in range(store.channels)]
    columns = min(_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    with styled(axes_grid=False):
        figure = new_figure(1.9 * columns + 0.2, 2.1 * lines + 0.8)
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for panel, (row, channel) in zip(axes, panels, strict=False):
            show_frame(panel, np.asarray(store.images[row]), channel)
            place = store.index["mask"][row]
            if place >= 0:
                outline(panel, np.asarray(store.masks[place]), _colours(store), width=1.1)
            panel.set_title(_title(store, row, channel), fontsize=6.5, loc="center")
        for panel in axes[len(panels) :]:
            panel.set_visible(False)
        handles = [
            Line2D([], [], color=colour, lw=2, label=name)
            for name, colour in zip(store.classes[1:], _colours(store), strict=True)
        ]
        if handles:
            legend = figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6), fontsize=8)
            legend.set_frame_on(True)
            legend.get_frame().set(facecolor="#222222", edgecolor="none", alpha=1)
            for text in legend.get_texts():
                text.set_color("white")
    return figure


def chosen_rows(store: FrameStore, count: int) -> list[int]:
    """Return the rows to draw: per sequence the frame with the largest mask, or the middle frame without masks.

    Sequences are sampled evenly over the dataset; end-diastole and end-systole alternate between neighbours.
    """
    _, first, frames = np.unique(store.index["sequence"], return_index=True, return_counts=True)
    order = np.argsort(first)
    taken = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    return [
        _shown(store, np.arange(first[sequence], first[sequence] + frames[sequence]), number)
        for number, sequence in enumerate(order[taken])
    ]


def _shown(store: FrameStore, rows: np.ndarray, number: int) -> int:
    masked = rows[store.index["mask"][rows] >= 0]
    if not len(masked):
        return int(rows[len(rows) // 2])
    phases = [rows_of for phase in (1, 2) if len(rows_of := masked[store.index["phase"][masked] == phase])]
    among = phases[number % len(phases)] if phases else masked
    sizes = [int((store.masks[store.index["mask"][row]] > 0).sum()) for row in among]
    return int(among[int(np.argmax(sizes))])


def _colours(store: FrameStore) -> list[str]:
    return [STRUCTURES[label % len(STRUCTURES)] for label in range(len(store.classes) - 1)]


def _title(store: FrameStore, row: int, channel: int) -> str:
    entry = store.index[row]
    what = "slice" if entry["stack"] else "frame"
    named = [store.views[entry["view"]], PHASES[entry["phase"]]]
    named += [store.channel_names[channel]] if store.channels > 1 else []
    upper = f"{store.subjects[entry['subject']][:6]} ({SPLITS[entry['split']]})"
    return f"{upper}\n{' '.join(filter(None, named))} {what} {entry['frame']}"
