"""Results of a study's replicates on another dataset, in the form of the study's own results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from analysis.io.load import StudyResults, results_of_images
from study.storage.workspace import JobFolder


def external_results(results: StudyResults, cells: Sequence[str], folder: Path) -> StudyResults:
    """Return a study's results with the scores of other test images, for the tables and comparisons of a report.

    Args:
        results: results of the study.
        cells: keys of the cells that were evaluated.
        folder: folder with a folder of test results for each of their replicates.

    Raises:
        DataError: a file of results is missing or damaged.
    """
    plan = replace(results.plan, cells={key: results.plan.cells[key] for key in cells})
    jobs = results.jobs[results.jobs["cell"].isin(cells)]
    return results_of_images(replace(results, plan=plan, jobs=jobs), lambda job: JobFolder(folder / job).test)
