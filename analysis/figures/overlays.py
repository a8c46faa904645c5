"""Overlays of reference and predicted outlines on an easy, a typical and a hard test image.

The layout follows Figure 1 of Saeed et al. (2022), with one panel per method.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.outlines import legend, truth_and_predicted
from analysis.figures.style import line_styles, new_figure, panel_shape, styled
from analysis.io.load import StudyResults
from analysis.tables.grid import Grid
from study.storage.job_files import read_predictions
from trainables.data.store.frames import FrameStore

CASES = {"Easy": 0.9, "Typical": 0.5, "Hard": 0.1}
"""Quantile of the images' Dice at which each case is chosen."""


MAX_COLUMNS = 6


@dataclass(frozen=True)
class Prediction:
    """Predictions of one cell by one replicate.

    Attributes:
        masks: predicted mask `(S, S)` by row of the frame store.
        dice: Dice of each image by row of the frame store.
    """

    masks: Mapping[int, np.ndarray]
    dice: Mapping[int, float]


def overlays(results: StudyResults, grid: Grid, store: FrameStore) -> Figure | None:
    """Draw each case with the prediction of every method at the fewest labels; return None without results.

    The methods of a case stand in one line, or in several of at most `MAX_COLUMNS`.
    Cases are chosen by the median over methods of an image's Dice. Shown is the first replicate that all methods have.
    """
    found = predictions(results, grid)
    cases = choose_cases(_scores(found)) if found else {}
    if not cases:
        return None
    style = line_styles(grid.rows, grid.references.values())
    with styled(axes_grid=False):
        lines, across = panel_shape(len(found), MAX_COLUMNS)
        figure = new_figure(2.15 * across + 0.5, 2.4 * lines * len(cases) + 0.75)
        panels = figure.subplots(lines * len(cases), across, squeeze=False)
        for number, (case, row) in enumerate(cases.items()):
            block = panels[lines * number : lines * (number + 1)]
            for axes in block.flat[len(found) :]:
                axes.set_visible(False)
            for axes, (method, prediction) in zip(block.flat, found.items(), strict=False):
                line_style = style[method]
                truth_and_predicted(axes, store, row, prediction.masks[row], line_style.tint, line_style.dash)
                axes.set_title(
                    f"{textwrap.fill(method, 26)}\nDice {prediction.dice[row]:.3f}", fontsize=9, loc="center"
                )
            block[0, 0].set_ylabel(case, fontsize=11, fontweight="bold")
        figure.suptitle(f"Test images{grid.at(grid.smallest)}", fontsize=11, fontweight="bold")
        legend(figure, {method: (style[method].tint, style[method].dash) for method in found})
    return figure


def choose_cases(dice: pd.DataFrame) -> dict[str, int]:
    """Return the frame-store row of each case, all different, from Dice with rows as index and cells as columns."""
    order = dice.median(axis="columns").dropna().sort_values(kind="stable").index
    chosen: dict[str, int] = {}
    for case, quantile in CASES.items():
        row = int(order[round(quantile * (len(order) - 1))]) if len(order) else None
        if row is not None and row not in chosen.values():
            chosen[case] = row
    return chosen


def predictions(results: StudyResults, grid: Grid) -> dict[str, Prediction]:
    """Return the predictions of each method at the fewest labels."""
    cells = {row: grid.cells[row, grid.smallest] for row in grid.rows if (row, grid.smallest) in grid.cells}
    images = {row: results.images[results.images["cell"] == cell] for row, cell in cells.items()}
    measured = {row: table for row, table in images.items() if not table.empty}
    shared = set.intersection(*(set(table["replicate"]) for table in measured.values())) if measured else set()
    if not shared:
        return {}
    replicate = min(shared)
    return {row: _prediction(results, table[table["replicate"] == replicate]) for row, table in measured.items()}


def _prediction(results: StudyResults, images: pd.DataFrame) -> Prediction:
    masks = read_predictions(results.folder.job(str(images["job"].iloc[0])).predictions)
    dice = dict(zip(images["row"].astype(int), images["dice"], strict=True))
    return Prediction(masks, {row: value for row, value in dice.items() if row in masks})


def _scores(found: Mapping[str, Prediction]) -> pd.DataFrame:
    """Return Dice by row of the store and method, for the images that all methods have."""
    return pd.concat({m: pd.Series(dict(p.dice)) for m, p in found.items()}, axis="columns", join="inner")
