"""Figure of the test images with the lowest Dice."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.outlines import legend, truth_and_predicted
from analysis.figures.overlays import Prediction, predictions
from analysis.figures.style import line_styles, new_figure, panel_shape, panels_of, styled
from analysis.io.load import StudyResults
from analysis.tables.grid import Grid
from trainables.data.store.frames import FrameStore

MAX_IMAGES = 12
MAX_COLUMNS = 6


def worst_cases(results: StudyResults, grid: Grid, store: FrameStore) -> Figure | None:
    """Draw the test images of lowest Dice of the best row at the fewest labels; return None without predictions."""
    found = predictions(results, grid)
    if not found:
        return None
    best = max(found, key=lambda row: results.dice(grid.cells[row, grid.smallest]).to_numpy(np.float64).mean())
    rows = _worst(found[best])
    line_style = line_styles(grid.rows, grid.references.values())[best]
    down, across = panel_shape(len(rows), MAX_COLUMNS)
    with styled(axes_grid=False):
        figure = new_figure(2.0 * across + 0.3, 2.2 * down + 0.9)
        _, places = panels_of(figure, len(rows), MAX_COLUMNS)
        for axes, row in zip(places, rows, strict=True):
            truth_and_predicted(axes, store, row, found[best].masks[row], line_style.tint, line_style.dash)
            axes.set_title(f"Dice {found[best].dice[row]:.3f}", fontsize=9, loc="center")
        title = f"{best}{grid.at(grid.smallest)}: test images with the lowest Dice, one replicate"
        figure.suptitle(title, fontsize=11, fontweight="bold")
        legend(figure, {best: (line_style.tint, line_style.dash)})
    return figure


def _worst(prediction: Prediction) -> list[int]:
    measured = {row: dice for row, dice in prediction.dice.items() if dice == dice}  # noqa: PLR0124 - not NaN
    return sorted(measured, key=lambda row: measured[row])[:MAX_IMAGES]
