"""Report section on what the pretrainings learned."""

from __future__ import annotations

import pandas as pd

from analysis.io.load import StudyResults
from analysis.io.pretrainings import Pretraining
from analysis.report.section import Section
from analysis.tables.table import Entry, Table


def learning_section(results: StudyResults) -> Section:
    """Return the verdict on every pretraining that replicates start from; empty without pretrainings."""
    if not results.pretrainings:
        return Section("What pretraining learned")
    sentences = tuple(
        f"{each.title} ({each.learning.verdict}): {each.learning.advice}."
        for each in results.pretrainings
        if each.learning.advice
    )
    return Section("What pretraining learned", sentences, {"pretrainings": pretraining_table(results)})


def pretraining_table(results: StudyResults) -> Table:
    """Return verdict, evidence and cells of every pretraining."""
    data = [
        {
            "pretraining": each.title,
            "verdict": each.learning.verdict,
            "skill": each.learning.skill,
            "evidence": each.learning.reason,
            "cells": "; ".join(each.cells),
        }
        for each in results.pretrainings
    ]
    header = ("pretraining", "verdict", "skill", "evidence", "cells")
    body = tuple(
        (
            Entry(each.title),
            Entry(each.learning.verdict, strong=not each.learning.healthy),
            Entry("-" if each.learning.skill is None else f"{each.learning.skill:.2f}"),
            Entry(each.learning.reason),
            Entry(str(len(each.cells))),
        )
        for each in results.pretrainings
    )
    note = (
        "Skill: 0 at chance, 1 for perfect, on validation images. Learned: the task was learned; weak: in part, or no "
        "better than the untrained network; not learned: at chance or near it; collapsed: one embedding for all images."
    )
    return Table("Pretrainings", header, body, (note,), pd.DataFrame(data))


def learning_sentences(results: StudyResults) -> list[str]:
    """Return a warning for each pretraining that has not clearly learned its task, with the cells it concerns."""
    return [_warning(each) for each in results.pretrainings if each.learning.verdict not in ("learned", "unknown")]


def _warning(pretraining: Pretraining) -> str:
    learning, cells = pretraining.learning, ", ".join(pretraining.cells)
    return (
        f"Pretraining {pretraining.title}: {learning.verdict} ({learning.reason}). Cells that start from it: {cells}."
    )
