"""Figure of test-image embeddings by pretrained backbones, coloured by a clinical value."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.style import new_figure, panel_shape, panels_of, styled
from analysis.io.load import StudyResults
from analysis.stats.embedding import embeddings, first_test_rows, principal_plane
from trainables.data.store.frames import FrameStore

CLINICAL = {"ef": "Ejection fraction (%)", "edv": "End-diastolic volume (mL)", "esv": "End-systolic volume (mL)"}
MAX_PRETRAININGS = 6
"""Largest number of pretrainings in the figure."""

MAX_COLUMNS = 3

TITLE = 28
"""Letters of a panel's title in one line."""


def embedding_map(results: StudyResults, store: FrameStore) -> Figure | None:
    """Plot the first frame of each test sequence on the first two principal components, one panel per pretraining.

    Return None without a finished pretraining or with fewer than four test sequences.

    Raises:
        DataError: a pretraining's weights are missing or do not accept the images.
    """
    pretexts = results.of_kind("pretext")
    jobs = pretexts[pretexts["status"] == "completed"]["id"].tolist()[:MAX_PRETRAININGS]
    rows = first_test_rows(store)
    if not jobs or len(rows) < 4:
        return None
    sequences = store.index["sequence"][rows]
    name, values = next(
        ((n, store.clinical[n][sequences]) for n in CLINICAL if _varies(store, n, sequences)), ("", None)
    )
    with styled():
        down, across = panel_shape(len(jobs), MAX_COLUMNS)
        figure = new_figure(3.1 * across + (1.1 if name else 0.3), 3.0 * down + 0.3)
        panels, places = panels_of(figure, len(jobs), MAX_COLUMNS)
        for axes, job in zip(places, jobs, strict=True):
            points, shares = principal_plane(embeddings(results, job, store, rows))
            drawn = axes.scatter(
                points[:, 0],
                points[:, 1],
                c=values if name else "#0072B2",
                cmap="cividis" if name else None,
                s=16,
                alpha=0.85,
                lw=0,
            )
            axes.set(xlabel=f"{shares[0]:.0%} of the variance", ylabel=f"{shares[1]:.0%}", xticks=[], yticks=[])
            axes.set_title(textwrap.fill(str(results.name_of(job)), TITLE))
        if name:
            figure.colorbar(drawn, ax=panels, label=CLINICAL[name])
    return figure


def _varies(store: FrameStore, name: str, sequences: np.ndarray) -> bool:
    values = store.clinical.get(name)
    return values is not None and len(np.unique(values[sequences][np.isfinite(values[sequences])])) > 2
