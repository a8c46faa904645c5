"""Reader of a study's folder into DataFrames; the study may still be running."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.io.history import read_history
from analysis.io.pretraining_names import DIGITS, PretrainingName, job_name, job_parts, pretraining_names
from analysis.io.pretrainings import Pretraining, failed_pretrainings, pretrainings, replicate_starts
from study.config.ranges import Range
from study.config.resources import StageResources
from study.config.settings import parse
from study.planning.jobs import CELL_KINDS
from study.plugins.recorded import load_recorded
from study.scheduling.state import StudyState
from study.storage.events import ConfigurationChosen, JobFinished, events_of_type
from study.storage.job_files import read_test
from study.storage.ledger import read_ledger
from study.storage.plan_file import RESTORE, read_plan
from study.storage.workspace import StudyFolder
from trainables.common.errors import UserError
from trainables.common.label_counts import LabelCounts
from trainables.common.learning import Learning


@dataclass(frozen=True)
class PlannedStudy:
    """Plan of a study as recorded in `plan.json`.

    Attributes:
        name: name of the study.
        title: title for headings.
        factors: levels of each factor, in the study file's order.
        cells: levels by factor of each cell, by the cell's key.
        metric: selection metric without the split's name ("dice" for "val/dice").
        planned: number of planned jobs of each kind.
        frames: folder of the frame store; None where the plan names none.
        classes: names of the mask's values, background first.
        base: reference level of each ablated factor; empty without an ablation.
        objectives: objectives of the search, the selection metric first.
        gpus: GPUs that a trial or replicate uses.
        space: searched range of each setting, by dotted path; empty for plans that record none.
        notes: sentences of the study file for readers of the results.
        spec: all settings of the study as plain values; empty in a plan that records none.
        labels: numbers of labelled subjects that a cell uses, by its key; empty for plans of earlier versions.
        software: version of each package that the study ran with; empty for plans of earlier versions.
    """

    name: str
    title: str
    factors: Mapping[str, tuple[str, ...]]
    cells: Mapping[str, Mapping[str, str]]
    metric: str
    planned: Mapping[str, int]
    frames: Path | None
    classes: tuple[str, ...]
    base: Mapping[str, str] = field(default_factory=dict)
    objectives: tuple[str, ...] = ()
    gpus: float = 0.0
    space: Mapping[str, Range] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    spec: Mapping[str, Any] = field(default_factory=dict, repr=False)

    labels: Mapping[str, LabelCounts] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyResults:
    """Results of all jobs that have finished so far.

    Attributes:
        folder: folder of the study.
        plan: recorded plan.
        jobs: one row per finished job: `id`, `kind`, `cell` (None for shared jobs), one column per factor, `index`,
            `status` ("completed", "stopped" by the pruner, "failed"), `epochs`, `seconds`, `reason`, `gpu_hours` (of
            trials and replicates), then parameters as `param/<name>` and metrics by name.
        subjects: one row per completed replicate and test subject: `cell`, one column per factor, `replicate`,
            `subject`, `dice` and `dice/<class>`, each the mean over the subject's images that have a value.
        images: one row per completed replicate and test image, before averaging: the columns of `subjects`, `job`,
            `row` (in the frame store) and `phase`.
        chosen: number of the chosen trial by cell; None where nothing was searched.
        pretrainings: pretrainings with a verdict: those that replicates start from, then those that failed.
        starts: digest of the pretraining that each replicate starts from, by cell and replicate; without cells that
            start from none.
        names: display name of each pretraining that replicates start from, by the first digits of its digest.
    """

    folder: StudyFolder
    plan: PlannedStudy
    jobs: pd.DataFrame
    subjects: pd.DataFrame
    images: pd.DataFrame = field(repr=False)
    chosen: Mapping[str, int | None]
    pretrainings: tuple[Pretraining, ...] = ()
    starts: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    names: Mapping[str, PretrainingName] = field(default_factory=dict)
    _dice: dict[str, pd.DataFrame] = field(default_factory=dict, init=False, repr=False, compare=False)
    _histories: dict[str, pd.DataFrame] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def learning(self) -> dict[str, Learning]:
        """Verdict on the pretraining that a cell starts from, by the cell's key; without cells that have none."""
        return {cell: each.learning for each in self.pretrainings for cell in each.cells}

    @property
    def missing(self) -> dict[str, int]:
        """Number of planned jobs of each kind without a result; kinds without missing jobs have no entry.

        Failed jobs count as missing. Shared jobs count only while a trial or replicate is missing, because a stored
        artifact replaces them.
        """
        done = self.jobs.loc[self.jobs["status"] != "failed", "kind"].value_counts()
        short = {kind: count - int(done.get(kind, 0)) for kind, count in self.plan.planned.items()}
        if not any(count > 0 for kind, count in short.items() if kind in CELL_KINDS):
            return {}
        return {kind: count for kind, count in short.items() if count > 0}

    def of_kind(self, kind: str, cell: str | None = None) -> pd.DataFrame:
        """Return the rows of `jobs` of one kind, in one cell or in all."""
        chosen = self.jobs["kind"] == kind
        return self.jobs[chosen & (self.jobs["cell"] == cell)] if cell is not None else self.jobs[chosen]

    def history(self, job: str) -> pd.DataFrame:
        """Return one job's metrics by epoch; empty before the first epoch."""
        if job not in self._histories:
            self._histories[job] = read_history(self.folder.job(job).metrics)
        return self._histories[job]

    def name_of(self, pretraining: Pretraining | str) -> PretrainingName:
        """Return the display name of a pretraining, or of a pretraining's job by its id."""
        if isinstance(pretraining, str):
            return job_name(self.names, pretraining)
        return self.names.get(pretraining.digest[:DIGITS]) or PretrainingName(pretraining.method)

    def starts_of(self, *cells: str) -> list[Mapping[int, str]]:
        """Return the digest of the pretraining by replicate, of each cell; empty for one that starts from none."""
        return [self.starts.get(cell, {}) for cell in cells]

    def dice(self, cell: str) -> pd.DataFrame:
        """Return a cell's test Dice with replicates as rows and subjects as columns.

        Subjects without a value in some replicate are dropped: an image's Dice can be undefined, for example without a
        reference mask.
        """
        if cell not in self._dice:
            own = self.subjects[self.subjects["cell"] == cell]
            table = own.pivot(index="replicate", columns="subject", values="dice")
            self._dice[cell] = table.dropna(axis="columns")
        return self._dice[cell]


def load(folder: StudyFolder) -> StudyResults:
    """Read the current state of a study's folder.

    Raises:
        UserError: no plan there, or a damaged file.
    """
    plan = _read_plan(folder.plan)
    events = read_ledger(folder.ledger)
    outcomes = StudyState.replay(events).outcomes.values()
    jobs = _jobs(plan, outcomes)
    images = _images(plan, jobs, lambda job: folder.job(job).test)
    starts = replicate_starts(folder, jobs)
    found = (*pretrainings(folder, plan.cells, starts), *failed_pretrainings(folder, outcomes))
    methods = {digest: method for method, digest in map(job_parts, jobs.loc[jobs["kind"] == "pretext", "id"])}
    methods |= {each.digest[:DIGITS]: each.method for each in found}
    return StudyResults(
        folder=folder,
        plan=plan,
        jobs=jobs,
        subjects=_by_subject(plan, images),
        images=images,
        chosen={choice.cell: choice.index for choice in events_of_type(events, ConfigurationChosen)},
        pretrainings=found,
        starts=starts,
        names=pretraining_names(plan.cells, starts, methods),
    )


def _planned(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the number of planned jobs by kind: shared stages, then trials and replicates."""
    shared = {kind: count for kind, count in counts.items() if kind not in CELL_KINDS}
    return shared | {kind: counts.get(kind, 0) for kind in CELL_KINDS}


def _read_plan(path: Path) -> PlannedStudy:
    if not path.exists():
        raise UserError(f"{path}: file not found (expected the plan of a study). Fix: run the study first.")
    try:
        raw = read_plan(path)
        load_recorded(raw)
        frames = (raw.get("frames") or {}).get("data")
        factors = {factor: tuple(map(str, levels)) for factor, levels in raw["factors"].items()}
        spec, metric = raw.get("spec") or {}, raw["search"]["metric"]
        search = spec.get("search") or {}
        need = StageResources(**((spec.get("resources") or {}).get("downstream") or {}))
        return PlannedStudy(
            name=raw["name"],
            title=raw.get("title") or raw["name"],
            factors=factors,
            base=_base(factors, raw.get("design") or {}),
            labels={cell["key"]: LabelCounts(**cell["labels"]) for cell in raw["cells"] if "labels" in cell},
            cells={cell["key"]: {f: str(level) for f, level in cell["levels"].items()} for cell in raw["cells"]},
            metric=metric.removeprefix("val/"),
            objectives=tuple(search.get("objectives") or (f"val/{metric.removeprefix('val/')}",)),
            space={path: parse(Range, described) for path, described in search.get("space", {}).items()},
            gpus=need.gpus_per_job,
            planned=_planned(raw["planned_jobs"]),
            frames=Path(frames) if frames else None,
            classes=tuple(raw["classes"]),
            notes=tuple(raw.get("notes") or ()),
            spec=spec,
            software=dict(raw.get("software") or {}),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: damaged ({type(error).__name__}: {error}). {RESTORE}") from error


def _base(factors: Mapping[str, tuple[str, ...]], design: Mapping[str, Any]) -> dict[str, str]:
    kind = design.get("kind", "full")
    if kind == "full":
        return {}
    over = design.get("factors") or list(factors)
    return {factor: factors[factor][0 if kind == "one_out" else -1] for factor in over}


def _jobs(plan: PlannedStudy, outcomes: Iterable[JobFinished]) -> pd.DataFrame:
    """Return one row per finished job; a retried job has its last outcome."""
    first = ["id", "kind", "cell", *plan.factors, "index", "status", "epochs", "seconds", "reason", "gpu_hours"]
    frame = pd.DataFrame([_job(plan, finished) for finished in outcomes])
    return frame.reindex(columns=[*first, *(name for name in frame.columns if name not in first)])


def _job(plan: PlannedStudy, finished: JobFinished) -> dict[str, Any]:
    cell, outcome = finished.cell, finished.outcome
    return {
        "id": finished.job,
        "kind": finished.kind,
        "cell": cell,
        **_levels(plan, cell),
        "index": finished.index,
        "status": outcome.status,
        "epochs": outcome.epochs,
        "seconds": outcome.seconds,
        "reason": outcome.reason,
        "gpu_hours": plan.gpus * outcome.seconds / 3600 if finished.kind in CELL_KINDS else None,
        **{f"param/{name}": value for name, value in finished.params.items()},
        **outcome.metrics,
    }


def _levels(plan: PlannedStudy, cell: str | None) -> dict[str, str | None]:
    levels = plan.cells.get(cell, {}) if cell is not None else {}
    return {factor: levels.get(factor) for factor in plan.factors}


def results_of_images(results: StudyResults, path: Callable[[str], Path]) -> StudyResults:
    """Return results with the test scores of other files.

    Args:
        results: results of the study.
        path: file of the test scores of each completed replicate, by its job.

    Raises:
        DataError: a file is missing or damaged.
    """
    images = _images(results.plan, results.jobs, path)
    return replace(results, images=images, subjects=_by_subject(results.plan, images))


def _images(plan: PlannedStudy, jobs: pd.DataFrame, path: Callable[[str], Path]) -> pd.DataFrame:
    replicates = jobs[(jobs["kind"] == "replicate") & (jobs["status"] == "completed")]
    if replicates.empty:
        return pd.DataFrame(columns=["job", "cell", *plan.factors, "replicate", "subject", "row", "phase", "dice"])
    tables = [read_test(path(job)) for job in replicates["id"]]
    places = pd.DataFrame(
        [
            {"job": job, "cell": cell, **_levels(plan, cell), "replicate": int(index)}
            for job, cell, index in zip(replicates["id"], replicates["cell"], replicates["index"], strict=True)
        ]
    )
    repeated = places.loc[np.repeat(np.arange(len(places)), [len(table) for table in tables])].reset_index(drop=True)
    return pd.concat([repeated, pd.concat(tables, ignore_index=True)], axis="columns")


def _by_subject(plan: PlannedStudy, images: pd.DataFrame) -> pd.DataFrame:
    keys = ["cell", *plan.factors, "replicate", "subject"]
    scores = [name for name in images.columns if name == "dice" or name.startswith("dice/")]
    if images.empty:
        return images[[*keys, *scores]]
    return images.groupby(keys, sort=False)[scores].mean().reset_index()
