"""Animation of a sequence with its segmentations."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from analysis.figures.style import line_styles, new_figure, styled
from analysis.io.load import StudyResults
from analysis.temporal.figures import cell_names, draw_frame, typical_sequence
from analysis.temporal.read import Temporal
from study.storage.job_files import read_predictions
from trainables.common.files import atomic_writer
from trainables.data.store.frames import FrameStore

FRAME_MS = 150
"""Duration of one frame in milliseconds."""


def write_animation(results: StudyResults, temporal: Temporal, store: FrameStore, path: Path) -> Path | None:
    """Write a GIF of a typical test sequence, forward and back, with every cell's outlines side by side.

    Args:
        results: results of the study.
        temporal: temporal tables of the study.
        store: frame store with the images.
        path: file to write.

    Returns:
        The path; None without temporal predictions.
    """
    if temporal.frames.empty:
        return None
    shown = temporal.frames[temporal.frames["replicate"] == temporal.frames["replicate"].min()]
    own = shown[shown["sequence"] == typical_sequence(shown)]
    names = cell_names(results)
    cells = [cell for cell in names if cell in set(own["cell"])]
    style = line_styles(names[cell] for cell in cells)
    masks = {}
    for cell in cells:
        jobs = results.of_kind("replicate", cell)
        job = jobs[jobs["index"] == own["replicate"].iloc[0]]["id"].iloc[0]
        masks[cell] = read_predictions(results.folder.job(str(job)).predictions)
    pictures = []
    for row in np.unique(own["row"].to_numpy(np.int64)):
        with styled(axes_grid=False):
            figure = new_figure(2.4 * len(cells), 2.7)
            panels = figure.subplots(1, len(cells), squeeze=False)[0]
            for axes, cell in zip(panels, cells, strict=True):
                draw_frame(axes, store, int(row), masks[cell], style[names[cell]])
                axes.set_title(names[cell], fontsize=9, loc="center")
            content = io.BytesIO()
            figure.savefig(content, format="png", dpi=80)
        pictures.append(Image.open(content).convert("P", palette=Image.Palette.ADAPTIVE))
    moving = [*pictures, *pictures[-2:0:-1]]
    with atomic_writer(path) as file:
        moving[0].save(file, format="GIF", save_all=True, append_images=moving[1:], duration=FRAME_MS, loop=0)
    return path
