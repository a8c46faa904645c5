"""The downstream stage: a segmentation network trained on labelled subjects, from some initial weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from study.config.plain import plain
from study.config.resources import StageResources
from study.config.settings import parse
from study.config.spec import FileStart, ImageNetStart, Start, StudySpec
from study.planning.dataset_sizes import dataset_sizes
from study.planning.jobs import Job
from study.planning.network_check import OWN_TRAINER
from study.stages.configuration import Configuration
from study.stages.downstream_checks import SMOOTHNESS, start_problems, trainer_problems, worker_problems
from study.stages.results.smoothness import mean_smoothness
from study.stages.results.test_results import save_test_results
from study.stages.stage import EVALUATED_SPLITS, SCHEMA, Artifact, Stage, StageContext, StageResult
from study.stages.weights_file import PATH, by_content, file_weights, planned_file
from study.stages.workload import Workload, samples_of, training_workload
from study.storage.artifacts import ArtifactStore, digest
from trainables.data.records import GREY, Split
from trainables.data.sampling.targets import DenseLabels
from trainables.data.store.synthetic_store import synthetic_store
from trainables.downstream.build import PretrainedWeights
from trainables.downstream.finetune import finetune
from trainables.downstream.selection import of_views
from trainables.downstream.settings import DownstreamSettings
from trainables.engine.runtime import Runtime
from trainables.engine.settings import FitSettings
from trainables.networks.imagenet import ImageNetWeights
from trainables.networks.network import NetworkSettings
from trainables.networks.weight_files.read import WeightsFile

WEIGHTS, LABELS = "pretext", "labels"
"""Roles of the inputs: pretrained weights, and pseudo-labels (arrays `rows` and `masks`)."""


@dataclass(frozen=True)
class CellRun:
    """Identity of a trial or replicate.

    Attributes:
        id: name of the job.
        kind: "trial" or "replicate".
        cell: key of the cell.
        levels: name of the level by factor.
        index: number in the cell, from 0.
        params: values of the searched settings by dotted path.
        seed: seed of weights, order, augmentation and labelled subset.
    """

    id: str
    kind: str
    cell: str
    levels: Mapping[str, str]
    index: int
    params: Mapping[str, Any]
    seed: int


class DownstreamStage(Stage):
    """Training of the segmentation network: a trial, or a replicate that is evaluated on the test split.

    A replicate's artifact holds the weights of the epoch that is best on validation, or of the last one without
    validation; a trial has no artifact.
    """

    name = "downstream"
    publishes_weights = True
    supervised = True

    def job(self, configuration: Configuration, run: CellRun) -> Job:
        """Return the job of a trial or replicate with this configuration."""
        spec = configuration.spec
        inputs = _inputs(configuration)
        config = {
            "schema": SCHEMA,
            "stage": self.name,
            "data": configuration.data.fingerprint,
            "network": plain(spec.network),
            self.name: plain(spec.downstream),
            "start": {"artifact": inputs[WEIGHTS]} if WEIGHTS in inputs else _digested(spec.pretext.method),
            "labels": inputs.get(LABELS),
            "seed": run.seed,
            "test": run.kind == "replicate",
            **configuration.mark,
        }
        if (run.kind == "trial" or configuration.rehearsal) and SMOOTHNESS in spec.search.objectives:
            config["sequences"] = True
        return Job(
            id=run.id,
            kind=run.kind,
            stage=self.name,
            cell=run.cell,
            levels=run.levels,
            index=run.index,
            params=dict(run.params),
            config={**config, **_file_path(spec.pretext.method)},
            digest=digest(config),
            inputs=inputs,
            frames=configuration.data.folder,
            epochs=spec.downstream.epochs,
            resources=self.request(spec),
        )

    def sources(self, configuration: Configuration) -> list[Job]:
        """Return the shared jobs that the runs of a configuration need, each after those that it needs itself."""
        return configuration.sources_of(_inputs(configuration))

    def run(self, job: Job, context: StageContext) -> StageResult:
        """Train and, for a replicate, write the test results and return the weights."""
        store, artifacts, runtime = context.store, context.artifacts, context.runtime
        settings = parse(DownstreamSettings, job.config[self.name])
        result = finetune(
            settings,
            parse(NetworkSettings, job.config["network"]),
            _initial_weights(job, context),
            store,
            runtime,
            job.config["seed"],
            test=job.config["test"],
            sequences=bool(job.config.get("sequences", False)),
            dense=_pseudo_labels(job, artifacts),
            scratch=context.folder.root / "nnunet",
        )
        labels = {"labelled_subjects": result.labels.training, "validation_subjects": result.labels.validation}
        metrics = {**result.fitted.metrics, **{name: float(count) for name, count in labels.items()}}
        if result.val is not None:
            metrics[SMOOTHNESS] = mean_smoothness(result.val, store)
        artifact = None
        if result.test is not None and runtime.rank == 0:
            metrics |= save_test_results(result.test, store, context.folder, settings.metrics)
            artifact = Artifact(result.state, metrics=result.fitted.metrics)
        return StageResult(metrics, len(result.fitted.history), artifact)

    def evaluated_rows(self, job: Job, context: StageContext) -> Mapping[Split, np.ndarray]:
        """Return the labelled rows in the job's views; with pseudo-labels those that have one, in train and val."""
        views = parse(DownstreamSettings, job.config[self.name]).views
        store = context.store
        rows = {split: of_views(store, store.rows(split, labelled=True), views) for split in EVALUATED_SPLITS}
        if LABELS not in job.inputs:
            return rows
        dense = context.artifacts.array(job.inputs[LABELS], "rows")
        return {split: np.intersect1d(dense, context.store.rows(split)) for split in ("train", "val")} | {
            "test": rows["test"]
        }

    def resources(self, spec: StudySpec) -> StageResources:
        """Return the section `resources.downstream`."""
        return spec.resources.downstream

    def problems(self, spec: StudySpec) -> Sequence[str]:
        """Return why the network's trainer, its start or the requested workers are impossible."""
        return [*trainer_problems(spec), *start_problems(spec), *worker_problems(spec)]

    def workload(self, spec: StudySpec, job: Job) -> Workload | None:
        """Return the images, or windows of frames, of all epochs and evaluations of all folds.

        The cost of a network that another package trains is not known.
        """
        settings = spec.downstream
        if spec.network.trainer != OWN_TRAINER:
            return None

        def measure(short: FitSettings, batch: int, runtime: Runtime) -> Sequence[dict[str, float]]:
            whole = replace(settings, label_fraction=1.0, labels=None, validation="all", folds=None, test="split")
            brief = replace(whole, fit=short, targets="labelled")
            channels = settings.augment.channels or GREY
            store = synthetic_store(2 * batch, spec.data.image_size, spec.network.frames, channels)
            return finetune(brief, spec.network, None, store, runtime, spec.seed).fitted.history

        return training_workload(
            _samples(spec),
            settings.fit,
            job.resources,
            measure,
            stage=self.name,
            network=plain(spec.network),
            method=None,
            image_size=spec.data.image_size,
        )


def _inputs(configuration: Configuration) -> dict[str, str]:
    """Return the digest of each artifact that the runs of a configuration read, by role."""
    roles = (WEIGHTS, LABELS) if configuration.spec.downstream.targets == "propagated" else (WEIGHTS,)
    outputs = {role: configuration.output(role) for role in roles}
    return {role: made.digest for role, made in outputs.items() if made is not None}


def _digested(start: Any) -> dict[str, Any]:
    """Return what the digest says of a start without pretraining; a file is named by its content."""
    return plain(replace(start, path=by_content(start.weights).file) if isinstance(start, FileStart) else start)


def _file_path(start: Any) -> dict[str, str]:
    """Return the entry of a job's `config` with the path of its weights, if it starts from a file."""
    return {PATH: str(start.weights.path)} if isinstance(start, FileStart) else {}


def _initial_weights(job: Job, context: StageContext) -> PretrainedWeights:
    """Return the weights that training starts from; None for random ones."""
    if WEIGHTS in job.inputs:
        return context.artifacts.weights(job.inputs[WEIGHTS])
    if PATH in job.config:
        network: NetworkSettings = parse(NetworkSettings, job.config["network"])
        planned: WeightsFile = parse(Start, job.config["start"]).weights  # type: ignore[attr-defined]
        if network.trainer != OWN_TRAINER:
            return planned_file(job, planned)
        return file_weights(job, context, planned, network.image_network.backbone)
    start: Any = parse(Start, job.config["start"])
    return ImageNetWeights(start.weights, start.download) if isinstance(start, ImageNetStart) else None


def _pseudo_labels(job: Job, artifacts: ArtifactStore) -> DenseLabels | None:
    """Return the pseudo-labels that the job is trained on, if it has any."""
    if LABELS not in job.inputs:
        return None
    address = job.inputs[LABELS]
    return DenseLabels(artifacts.array(address, "rows"), artifacts.array(address, "masks"))


def _samples(spec: StudySpec) -> float:
    """Return the training samples of one job, evaluations included."""
    sizes, settings = dataset_sizes(spec.data), spec.downstream
    frames = sizes.frames if settings.targets == "propagated" else sizes.labelled
    samples = max(1.0, frames["train"] / spec.network.frames)
    if settings.labels is None:
        samples *= settings.label_fraction
    else:
        samples *= min(1.0, settings.labels / max(1.0, sizes.sequences["train"]))
    share, count = settings.validation_share if settings.uses_validation_split else (0.0, None)
    share = min(1.0, count / max(1.0, sizes.sequences["val"])) if count is not None else share or 0.0
    return (settings.folds or 1) * samples_of(settings.fit, samples, share * sizes.labelled["val"])
