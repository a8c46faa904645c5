"""Figure of the views that a pretext task sees, to check an augmentation policy on a dataset."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.contact_sheet import STRUCTURES
from analysis.figures.outlines import outline, show_frame
from analysis.figures.style import new_figure, styled
from trainables.augment.batch_rng import BatchRNG
from trainables.augment.policy import Policy
from trainables.augment.trace import TracedView, trace
from trainables.common.seeds import derive
from trainables.data.sampling.spread import spread_evenly
from trainables.data.store.frames import FrameStore
from trainables.pretext.method import Method

_TEXT_WIDTH = 26
"""Characters of a line below a view."""


def view_sheet(
    store: FrameStore, policy: Policy, method: Method | None, seed: int, count: int = 6, views: int = 5
) -> Figure:
    """Draw frames of different subjects, each beside several views.

    Below each view stand the operations that changed it and the shares of spread and edges that it keeps.

    Args:
        store: frame store of the dataset.
        policy: augmentation policy of the pretext stage.
        method: pretext method, whose hidden pixels and label maps are drawn; None draws the views alone.
        seed: seed of the views.
        count: largest number of frames, one row each.
        views: number of views of each frame.
    """
    rows = _training_rows(store, method, count)
    images = torch.from_numpy(np.asarray(store.images[rows]))
    labels = method.labels(store, rows) if method is not None else None
    drawn = []
    for number in range(views):
        rng = BatchRNG(derive(seed, "view", number), len(rows), 0, len(rows))
        traced = trace(policy, images, labels, rng)
        shown = torch.stack([view.image for view in traced])
        drawn.append((traced, method.hide(shown, rng) if method is not None else shown))
    with styled(axes_grid=False):
        figure = new_figure(1.95 * (views + 1) + 0.2, 2.6 * len(rows) + 0.4)
        figure.set_layout_engine("constrained", h_pad=0.12)
        axes = figure.subplots(len(rows), views + 1, squeeze=False)
        for place in range(len(rows)):
            _panel(axes[place, 0], images[place], labels[place] if labels is not None else None)
            axes[place, 0].set_title(f"{store.subjects[store.index['subject'][rows[place]]][:6]}", fontsize=7)
            for column, (traced, shown) in enumerate(drawn, 1):
                _panel(axes[place, column], shown[place] * 255, traced[place].mask)
                axes[place, column].set_xlabel(caption(traced[place]), fontsize=5.6, loc="left", labelpad=2)
    return figure


def caption(view: TracedView) -> str:
    """Return the text below a view: its operations in lines, then the shares that it keeps."""
    lines = [""]
    for change in view.changes or ("unchanged",):
        extended = f"{lines[-1]}, {change}" if lines[-1] else change
        lines = [*lines[:-1], extended] if len(extended) <= _TEXT_WIDTH else [*lines, change]
    return "\n".join([*lines, f"spread {view.spread:.0%}, edges {view.edges:.2f}"])


def _training_rows(store: FrameStore, method: Method | None, count: int) -> np.ndarray:
    """Return the middle frames of training sequences that the method can use, spread evenly over the dataset."""
    rows = store.rows("train")
    rows = rows if len(rows) else np.arange(len(store))
    rows = method.rows(store, rows) if method is not None else rows
    _, first, frames = np.unique(store.index["sequence"][rows], return_index=True, return_counts=True)
    middle = np.sort(first + frames // 2)
    return np.asarray(rows[middle[spread_evenly(len(middle), count)]])


def _panel(axes: Axes, image: torch.Tensor, mask: torch.Tensor | None) -> None:
    show_frame(axes, image.round().to(torch.uint8).numpy())
    if mask is not None:
        outline(axes, mask.numpy(), [STRUCTURES[n % len(STRUCTURES)] for n in range(int(mask.max()))], width=0.9)
