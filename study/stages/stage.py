"""The interface of a stage: its settings, its jobs, how a job runs, its cost and its resources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from study.config.resources import StageResources
from study.config.spec import StudySpec
from study.config.stage_settings import StageSettings
from study.planning.datasets import Dataset
from study.planning.jobs import Job, ResourceRequest
from study.stages.configuration import Configuration
from study.stages.workload import Workload
from study.storage.artifacts import ArtifactStore, digest
from study.storage.workspace import JobFolder
from trainables.common.learning import Learning
from trainables.common.plugin_code import code_of
from trainables.data.records import Split
from trainables.data.store.frames import FrameStore
from trainables.engine.runtime import Runtime

SCHEMA = 3
"""Version of the computations of all stages, part of every digest: raising it invalidates older artifacts."""

EVALUATED_SPLITS: tuple[Split, ...] = ("val", "test")
"""Splits that are not trained on."""


@dataclass(frozen=True, eq=False)
class Artifact:
    """Output of a stage as it is written to the artifact store.

    Attributes:
        weights: state dict on the CPU; None for a stage that trains nothing.
        arrays: arrays by name, each written to NAME.npy.
        tables: CSV text by name, each written to NAME.csv.
        metrics: metrics that describe the artifact, written to artifact.json.
    """

    weights: Mapping[str, Tensor] | None = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StageResult:
    """Result of running a job.

    Attributes:
        metrics: metrics of the job's outcome.
        epochs: number of epochs trained.
        artifact: output to store under the job's digest; None for a job that stores nothing, such as a trial.
        learning: verdict on a pretraining; None for other jobs.
    """

    metrics: Mapping[str, float]
    epochs: int
    artifact: Artifact | None = None
    learning: Learning | None = None


@dataclass(frozen=True)
class StageContext:
    """Everything that a running job may use.

    Attributes:
        store: frames of the job's dataset.
        artifacts: store from which the job reads its inputs (`artifacts.weights(job.inputs["pretext"])`).
        folder: folder for the job's files other than its artifact.
        runtime: device, workers, checkpoints and reporting.
    """

    store: FrameStore
    artifacts: ArtifactStore
    folder: JobFolder
    runtime: Runtime


class Stage(ABC):
    """Base class of all stages; instances keep no state.

    Attributes:
        name: registered name, part of job names and digests.
        settings: class that parses the stage's section in `stages` of the study file; None for a stage that has no
            section there.
        publishes_weights: upload the weights of completed jobs to the tracking server, with a model card.
        supervised: the weights are trained on masks, as the model card says.
    """

    name: ClassVar[str]
    settings: ClassVar[type[StageSettings] | None] = None
    publishes_weights: ClassVar[bool] = False
    supervised: ClassVar[bool] = False

    @abstractmethod
    def run(self, job: Job, context: StageContext) -> StageResult:
        """Run a job of this stage.

        The artifact of the result is stored by the caller, on rank 0.

        Raises:
            TrainingFailed, UserError: the job has failed; the message becomes the reason of its outcome.
        """

    def resources(self, spec: StudySpec) -> StageResources:
        """Return what one job of this stage asks of the cluster; by default `resources.stages.NAME`, or one CPU."""
        return spec.resources.stages.get(self.name, StageResources(gpus=0.0))

    def workload(self, spec: StudySpec, job: Job) -> Workload | None:
        """Return the cost of a job; None if it is not known, so that it counts as zero."""
        return None

    def problems(self, spec: StudySpec) -> Sequence[str]:
        """Return what would make every job fail, such as a missing file; by default nothing is checked."""
        return ()

    def evaluated_rows(self, job: Job, context: StageContext) -> Mapping[Split, np.ndarray]:
        """Return the rows that a job evaluates, by split: a rehearsal keeps the subjects of some of them.

        A split that is not named is kept as it is. By default these are all rows of val and test.
        """
        return {split: context.store.rows(split) for split in EVALUATED_SPLITS}

    def request(self, spec: StudySpec) -> ResourceRequest:
        """Return `resources` as a request to the cluster."""
        asked = self.resources(spec)
        return ResourceRequest(asked.workers, asked.cpus, asked.gpus_per_worker)


class SharedStage(Stage):
    """Base class of a stage whose jobs run once for all cells that need their artifacts.

    Attributes:
        provides: role of the stage's output for later stages: "pretext" for pretrained weights, "labels" for
            pseudo-labels, or a role that only stages of the same plug-in read. A later stage with the same role takes
            precedence.
    """

    provides: ClassVar[str]

    @abstractmethod
    def jobs(self, configuration: Configuration) -> Sequence[Job]:
        """Return the jobs that a configuration needs, in order; the last one makes the stage's output.

        An empty list means that the configuration does not use the stage. Jobs whose output nothing reads never run.
        """

    def job(
        self,
        configuration: Configuration,
        config: Mapping[str, Any],
        *,
        dataset: Dataset | None = None,
        inputs: Mapping[str, Job] | None = None,
        epochs: int = 1,
        levels: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Job:
        """Return a shared job of this stage; the hash of a plug-in's code is a part of its digest.

        Args:
            configuration: configuration that needs the job.
            config: everything that determines the result besides the frames and the inputs, as JSON-able values.
            dataset: frames that the job reads; None for those of the study's `data`.
            inputs: job that makes each input, by role. Digests that `config` does not hold are added to it.
            epochs: number of epochs that the job trains.
            levels: names that distinguish the job from others of the stage, for display and in its id.
            options: entries of the job's `config` that leave a completed result unchanged; not part of its digest.
        """
        data = configuration.data if dataset is None else dataset
        digests = {role: source.digest for role, source in (inputs or {}).items()}
        unnamed = {role: address for role, address in digests.items() if address not in config.values()}
        full = {"schema": SCHEMA, "stage": self.name, "data": data.fingerprint, **config, **configuration.mark}
        if unnamed:
            full["inputs"] = unnamed
        if (code := code_of(type(self))) is not None:  # a plug-in's
            full["code"] = code
        address = digest(full)
        return Job(
            id="-".join([self.name, *(levels or {}).values(), address[:12]]),
            kind=self.name,
            stage=self.name,
            cell=None,
            levels=levels or {},
            index=0,
            params={},
            config={**full, **(options or {})},
            digest=address,
            inputs=digests,
            frames=data.folder,
            epochs=epochs,
            resources=self.request(configuration.spec),
        )
