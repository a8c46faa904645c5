"""Report section on what the pretrainings learned."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.views import view_sheet
from analysis.io.load import StudyResults
from analysis.io.pretrainings import Pretraining
from analysis.report.section import Section
from analysis.tables.table import Entry, Table
from study.config.settings import parse
from trainables.data.store.frames import FrameStore
from trainables.pretext.pretrain import PretextSettings

SHOWN_POLICIES = 3
"""Largest number of pretrainings whose views are drawn."""

NAMED_CELLS = 3
"""Largest number of cells that a warning names; of more it gives the number."""


def learning_section(results: StudyResults, store: FrameStore | None) -> Section:
    """Return the verdict on every pretraining that replicates start from; empty without pretrainings.

    Args:
        results: results of the study.
        store: frame store of the study, for a figure of the views of each augmentation policy; None draws none.
    """
    if not results.pretrainings:
        return Section("What pretraining learned")
    sentences = tuple(f"{results.name_of(each)}: {each.learning.text}." for each in results.pretrainings)
    shown = shown_policies(results.pretrainings, store) if store is not None else []
    names = {f"views_{re.sub(r'[^a-zA-Z0-9.]+', '_', results.name_of(each).group)}": each for each in shown}
    return Section(
        "What pretraining learned",
        sentences,
        {"pretrainings": pretraining_table(results)},
        {name: _views(each, store) for name, each in names.items() if store is not None},
        captions={
            name: f"Views of training images as the pretraining {results.name_of(each)} sees them."
            for name, each in names.items()
        },
    )


def shown_policies(pretrainings: Sequence[Pretraining], store: FrameStore) -> list[Pretraining]:
    """Return pretrainings on the study's frames whose views are drawn: one for each method and policy."""
    own = (each for each in pretrainings if each.data == store.fingerprint)
    kinds: dict[tuple[str, str], Pretraining] = {}
    for each in own:
        kinds.setdefault((each.method, str(each.settings["augment"])), each)
    return list(itertools.islice(kinds.values(), SHOWN_POLICIES))


def _views(pretraining: Pretraining, store: FrameStore) -> Figure:
    settings = parse(PretextSettings, pretraining.settings)
    policy = settings.augment.resolved(1.0 if pretraining.strength is None else pretraining.strength)
    return view_sheet(store, policy, settings.method, seed=0, count=3, views=5)


def pretraining_table(results: StudyResults) -> Table:
    """Return verdict, skill and number of cells of every pretraining; the CSV file has the evidence too."""
    data = [
        {
            "pretraining": str(results.name_of(each)),
            "digest": each.digest,
            "verdict": each.learning.verdict,
            "skill": each.learning.skill,
            "strength": each.strength,
            "evidence": each.learning.reason,
            "cells": "; ".join(each.cells),
        }
        for each in results.pretrainings
    ]
    found = any(each.strength is not None for each in results.pretrainings)
    header = ("pretraining", "verdict", "skill", *(["strength found"] if found else []), "cells")
    body = tuple(
        (
            Entry(str(results.name_of(each))),
            Entry(each.learning.verdict, strong=not each.learning.healthy),
            Entry(_number(each.learning.skill)),
            *([Entry(_number(each.strength))] if found else []),
            Entry(str(len(each.cells)) if each.cells else "failed"),
        )
        for each in results.pretrainings
    )
    note = (
        "Skill: 0 at chance, 1 for perfect, on validation images. Learned: the task was learned; weak: in part, or no "
        "better than the untrained network; not learned: at chance or near it; collapsed: one embedding for all images."
    )
    return Table("Pretrainings", header, body, (note,), pd.DataFrame(data))


def learning_sentences(results: StudyResults) -> list[str]:
    """Return a warning for each pretraining that has not clearly learned its task, with the cells it concerns.

    The reason of a failed pretraining stands among the failures.
    """
    return [
        _warning(each, str(results.name_of(each)))
        for each in results.pretrainings
        if each.learning.doubtful and each.cells
    ]


def _warning(pretraining: Pretraining, name: str) -> str:
    learning, cells = pretraining.learning, pretraining.cells
    listed = f"{len(cells)} cells start from it."
    if len(cells) <= NAMED_CELLS:
        listed = f"Cells that start from it: {'; '.join(cells)}."
    return f"Pretraining {name}: {learning.verdict} ({learning.reason}). {listed}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
