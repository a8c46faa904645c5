"""Finished jobs whose results are lost, and the shared jobs among them that have to run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from study.planning.jobs import Job
from study.planning.plan import Plan
from study.scheduling.state import StudyState


def lost_jobs(
    plan: Plan, state: StudyState, has_results: Callable[[Job], bool], has_artifact: Callable[[str], bool]
) -> list[Job]:
    """Return the completed replicates without results, and the shared jobs without artifact that replicates read.

    All that is needed of a trial is in the ledger, so that none is lost.

    Args:
        plan: plan of the study.
        state: state of the study.
        has_results: returns True if the result files of a replicate exist.
        has_artifact: returns True if the artifact with this digest exists.
    """
    found: dict[str, Job] = {}
    for job in _replicates(plan, state):
        end = state.outcomes.get(job.id)
        if end is None or end.outcome.status != "completed" or end.digest != job.digest:
            continue
        found |= {source.id: source for source in plan.sources_of(job) if not has_artifact(source.digest)}
        if not has_results(job):
            found[job.id] = job
    return list(found.values())


def lost_sources(plan: Plan, state: StudyState) -> list[Job]:
    """Return the shared jobs that have to run again because their artifact is lost."""
    if not state.lost:
        return []
    sources = (source for job in _replicates(plan, state) for source in plan.sources_of(job))
    return list({source.id: source for source in sources if source.digest in state.lost}.values())


def _replicates(plan: Plan, state: StudyState) -> Iterator[Job]:
    """Yield the replicates of the cells that have chosen their configuration."""
    for cell in plan.cells:
        choice = state.cell(cell.key).choice
        if choice is not None:
            for index in range(plan.spec.replicates.runs):
                yield plan.replicate(cell.key, index, choice.params)
