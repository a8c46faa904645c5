"""Temporal figures: pseudo-label quality by frame, smoothness, area curves, Bland-Altman plots."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.outlines import TRUTH, outline, show_frame
from analysis.figures.style import LineStyle, line_styles, new_figure, styled
from analysis.io.load import StudyResults
from analysis.stats.intervals import RANGES, interval
from analysis.temporal.read import Temporal
from study.storage.job_files import read_predictions
from trainables.data.records import PHASES
from trainables.data.store.frames import FrameStore
from trainables.metrics.clinical import agreement

BINS = 5
"""Number of bins of frames between end-diastole and end-systole."""


def quality_by_position(temporal: Temporal) -> Figure | None:
    """Plot Dice and surface distance of pseudo-labels against the frame's position between the labelled ends."""
    if temporal.quality.empty:
        return None
    table = temporal.quality.assign(bin=np.minimum((temporal.quality["position"] * BINS).astype(int), BINS - 1))
    style = line_styles(("bidirectional", "forward", "backward"))
    measures = {"dice": "Dice", "mean_absolute": "Mean absolute distance (mm)"}
    structures = list(dict.fromkeys(table["class"]))
    with styled():
        figure = new_figure(3.3 * len(structures) + 0.8, 5.4)
        panels = figure.subplots(len(measures), len(structures), squeeze=False, sharex=True)
        for line, (measure, words) in zip(panels, measures.items(), strict=True):
            for axes, structure in zip(line, structures, strict=True):
                own = table[table["class"] == structure]
                for direction, line_style in style.items():
                    _binned(axes, own[own["direction"] == direction], measure, line_style)
                if measure == "dice":
                    axes.set_title(structure)
                else:
                    axes.set_xlabel("Frame: end-diastole 0, end-systole 1")
            line[0].set_ylabel(words)
        _legend(figure, style, "Mean with 95% interval over subjects.")
    return figure


def smoothness_boxes(results: StudyResults, temporal: Temporal) -> Figure | None:
    """Smoothness of every test subject's area curves, a box a cell, on a logarithmic axis."""
    if temporal.frames.empty:
        return None
    cells = {cell: name for cell, name in cell_names(results).items() if cell in set(temporal.frames["cell"])}
    style = line_styles(cells.values())
    with styled():
        figure = new_figure(1.0 + 1.2 * len(cells) * len(temporal.classes), 3.8)
        panels = figure.subplots(1, len(temporal.classes), squeeze=False)[0]
        for axes, structure in zip(panels, temporal.classes, strict=True):
            values = [10 ** temporal.smoothness(cell, structure).mean().to_numpy() for cell in cells]
            boxes = axes.boxplot(values, widths=0.55, showfliers=False, patch_artist=True)
            for box, name in zip(boxes["boxes"], cells.values(), strict=True):
                box.set(facecolor=style[name].colour, alpha=0.35)
            for place, (points, name) in enumerate(zip(values, cells.values(), strict=True), 1):
                aside = place + np.linspace(-0.18, 0.18, len(points))
                axes.plot(aside, points, style[name].marker, color=style[name].colour, ms=3.5, alpha=0.7)
            axes.set_yscale("log")
            axes.set_xticks(range(1, len(cells) + 1), cells.values())
            axes.set_title(structure)
            axes.grid(axis="x", visible=False)
        panels[0].set_ylabel("Smoothness (lower is smoother)")
    return figure


def area_curves(results: StudyResults, temporal: Temporal, store: FrameStore) -> Figure | None:
    """Plot a test subject's area curves with the reference's labelled frames, and the predictions at ED and ES."""
    if temporal.frames.empty:
        return None
    names = cell_names(results)
    shown = temporal.frames[temporal.frames["replicate"] == temporal.frames["replicate"].min()]
    cells = [cell for cell in names if cell in set(shown["cell"])]
    sequence = typical_sequence(shown)
    own = shown[shown["sequence"] == sequence]
    style = line_styles(names[cell] for cell in cells)
    structures = temporal.classes
    with styled():
        figure = new_figure(max(3.4 * len(structures), 2.2 * len(cells) + 1.0), 7.4)
        above, below = figure.subfigures(2, 1, height_ratios=(1, 1.25), squeeze=False)[:, 0]
        panels = above.subplots(1, len(structures), squeeze=False)[0]
        for axes, structure in zip(panels, structures, strict=True):
            for cell in cells:
                table = own[own["cell"] == cell].sort_values("row")
                line_style = style[names[cell]]
                frames = table["row"] - table["row"].min()
                axes.plot(frames, table[f"area/{structure}"] / 100, color=line_style.colour, linestyle=line_style.dash)
            _true_areas(axes, store, own, structures.index(structure) + 1)
            axes.set_title(structure)
            axes.set_xlabel("Frame")
        panels[0].set_ylabel("Area (cm²)")
        _ends(below, results, store, own, cells, style)
        _legend(figure, style, "Red: reference.")
    return figure


def bland_altman(results: StudyResults, temporal: Temporal) -> Figure | None:
    """Plot the difference of predicted and reference ejection fraction over their mean, one panel per cell."""
    if temporal.volumes.empty:
        return None
    names = cell_names(results)
    cells = [cell for cell in names if cell in set(temporal.volumes["cell"])]
    style = line_styles(names[cell] for cell in cells)
    with styled():
        figure = new_figure(3.0 * len(cells) + 0.6, 3.4)
        panels = figure.subplots(1, len(cells), squeeze=False, sharey=True)[0]
        for axes, cell in zip(panels, cells, strict=True):
            own = temporal.volumes[temporal.volumes["cell"] == cell]
            means = own.groupby("subject")[["true_ef", "predicted_ef"]].mean().dropna()
            found = agreement(means["true_ef"].to_numpy(), means["predicted_ef"].to_numpy())
            line_style = style[names[cell]]
            difference = means["predicted_ef"] - means["true_ef"]
            axes.plot(
                means.mean(axis="columns"), difference, line_style.marker, color=line_style.colour, alpha=0.75, ms=5
            )
            for value, dash, width in ((found.bias, "-", 1.6), (found.lower, "--", 1.1), (found.upper, "--", 1.1)):
                axes.axhline(value, color="#333333", linestyle=dash, linewidth=width)
            axes.axhline(0, color="#999999", linewidth=0.8)
            axes.set_title(f"{names[cell]}\nbias {found.bias:+.1f} ({found.lower:+.1f} to {found.upper:+.1f})")
            axes.title.set_fontsize(9)
            axes.set_xlabel("Mean of predicted and true EF (%)")
        panels[0].set_ylabel("Predicted - true EF (points)")
    return figure


def cell_names(results: StudyResults) -> dict[str, str]:
    """Return each cell's name in figures: its levels joined."""
    return {cell: " ".join(levels.values()) or cell for cell, levels in results.plan.cells.items()}


def _binned(axes: Axes, table: pd.DataFrame, measure: str, line_style: LineStyle) -> None:
    """Draw mean and interval over subjects of each bin of frames."""
    means = table.groupby(["bin", "subject"])[measure].mean().unstack("subject")
    places, found = [], []
    for number, values in means.iterrows():
        scores = values.dropna().to_numpy(np.float64)
        if len(scores):
            places.append((float(number) + 0.5) / BINS)  # type: ignore[arg-type]  # bins are numbers
            found.append(interval(scores[None], possible=RANGES[measure]))
    middle = np.array([each.mean for each in found])
    reach = np.abs(np.array([[each.low, each.high] for each in found]).T - middle)
    shift = {"bidirectional": 0.0, "forward": -0.012, "backward": 0.012}.get(str(table["direction"].iloc[0]), 0.0)
    axes.errorbar(
        np.array(places) + shift,
        middle,
        yerr=np.nan_to_num(reach),
        color=line_style.colour,
        linestyle=line_style.dash,
        marker=line_style.marker,
        capsize=2.5,
        ms=5,
    )
    axes.set_xlim(0, 1)


def typical_sequence(frames: pd.DataFrame) -> int:
    """Return the sequence with the median smoothness, averaged over cells."""
    columns = [name for name in frames.columns if name.startswith("smoothness/")]
    means = frames.groupby("sequence")[columns].mean().clip(lower=1e-9)
    middle = means.apply(np.log10).mean(axis="columns").sort_values()
    return int(middle.index[len(middle) // 2])


def _true_areas(axes: Axes, store: FrameStore, own: pd.DataFrame, label: int) -> None:
    rows = np.unique(own["row"].to_numpy(np.int64))
    known = rows[store.index["mask"][rows] >= 0]
    step = store.index["spacing"][rows[0]].astype(np.float64)
    pixel = float(step.prod()) if not np.isnan(step).any() else 1.0
    areas = [(store.masks[store.index["mask"][row]] == label).sum() * pixel / 100 for row in known]
    axes.plot(known - rows[0], areas, "o", color=TRUTH, ms=4, zorder=5)


def _ends(
    part: object,
    results: StudyResults,
    store: FrameStore,
    own: pd.DataFrame,
    cells: list[str],
    style: dict[str, LineStyle],
) -> None:
    """Draw end-diastole above end-systole, one column per cell."""
    names = cell_names(results)
    panels = part.subplots(2, len(cells), squeeze=False)  # type: ignore[attr-defined]
    for column, cell in enumerate(cells):
        table = own[own["cell"] == cell]
        replicate = int(table["replicate"].iloc[0])
        jobs = results.of_kind("replicate", cell)
        job = str(jobs[jobs["index"] == replicate]["id"].iloc[0])
        masks = read_predictions(results.folder.job(job).predictions)
        for line, phase in zip(panels, ("ED", "ES"), strict=True):
            axes = line[column]
            rows = table[table["phase"] == phase]["row"]
            if len(rows):
                draw_frame(axes, store, int(rows.iloc[0]), masks, style[names[cell]])
            axes.set_title(f"{names[cell]}, {phase}", fontsize=9, loc="center")


def draw_frame(axes: Axes, store: FrameStore, row: int, masks: Mapping[int, np.ndarray], line_style: LineStyle) -> None:
    """Draw a frame with its reference outlines, where it has a mask, and the predicted outlines."""
    structures = len(store.classes) - 1
    show_frame(axes, np.asarray(store.images[row]))
    number = int(store.index["mask"][row])
    if number >= 0 and PHASES[int(store.index["phase"][row])]:
        outline(axes, np.asarray(store.masks[number]), [TRUTH] * structures)
    if row in masks:
        outline(axes, masks[row], [line_style.tint] * structures, line_style.dash)


def _legend(figure: Figure, style: Mapping[str, LineStyle], caption: str) -> None:
    handles = [Line2D([], [], color=s.colour, linestyle=s.dash, marker=s.marker, label=n) for n, s in style.items()]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(4, len(handles)), title=caption, title_fontsize=8.5
    )
