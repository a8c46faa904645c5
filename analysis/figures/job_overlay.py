"""Picture of one replicate's predictions on an easy, a typical and a hard test image."""

from __future__ import annotations

from pathlib import Path

from analysis.figures.outlines import legend, truth_and_predicted
from analysis.figures.overlays import choose_cases
from analysis.figures.style import new_figure, styled
from study.storage.job_files import read_predictions, read_test
from study.storage.workspace import JobFolder
from trainables.data.store.frames import FrameStore

PREDICTED = "#33bbee"


def draw_job(folder: JobFolder, frames: Path, picture: Path) -> bool:
    """Write a replicate's picture; return whether it had predictions to draw."""
    if not (folder.test.exists() and folder.predictions.exists()):
        return False
    store = FrameStore.open(frames)
    masks, table = read_predictions(folder.predictions), read_test(folder.test)
    dice = table.set_index("row")[["dice"]]
    cases = choose_cases(dice[dice.index.isin(list(masks))])
    if not cases:
        return False
    with styled(axes_grid=False):
        figure = new_figure(2.3 * len(cases), 2.75)
        panels = figure.subplots(1, len(cases), squeeze=False)[0]
        for axes, (case, row) in zip(panels, cases.items(), strict=True):
            truth_and_predicted(axes, store, row, masks[row], PREDICTED, "--")
            axes.set_title(f"{case}: Dice {float(dice['dice'][row]):.3f}", fontsize=9)
        legend(figure, {"predicted": (PREDICTED, "--")})
        figure.savefig(picture, dpi=110, bbox_inches="tight")
    return True
