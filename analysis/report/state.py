"""Sentences on the progress of a study: what has finished, what is missing and what has failed."""

from __future__ import annotations

from analysis.io.load import StudyResults
from study.planning.finished import all_ended


def state_sentence(results: StudyResults) -> str:
    """Return a sentence that says whether the study is finished, and which jobs are missing or failed.

    As in `study status`, a study is finished when nothing is left to run.
    """
    failed = results.jobs[results.jobs["status"] == "failed"]
    command = f"see `study status {results.plan.name}`"
    if all_ended(results.folder, results.plan.planned):
        if failed.empty:
            return "The study is finished."
        lacking = f"{_jobs(len(failed))} failed and {'is' if len(failed) == 1 else 'are'} missing in the tables"
        return f"The study is finished; {lacking} ({command})."
    planned = results.plan.planned
    missing = ", ".join(f"{count} of {planned[kind]} {_plural(kind)}" for kind, count in results.missing.items())
    failures = "" if failed.empty else f" {_jobs(len(failed)).capitalize()} failed ({command})."
    return f"The study is not finished: {missing} are missing. This report covers the finished jobs.{failures}"


def failure_sentences(results: StudyResults) -> list[str]:
    """Return one line per failed job, with its reason."""
    failed = results.jobs[results.jobs["status"] == "failed"]
    return [f"{job} failed: {reason}." for job, reason in zip(failed["id"], failed["reason"], strict=True)]


def _jobs(number: int) -> str:
    return f"{number} job{'' if number == 1 else 's'}"


def _plural(kind: str) -> str:
    return "pretrainings" if kind == "pretext" else f"{kind}s"
