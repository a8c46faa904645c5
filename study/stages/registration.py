"""The registration stage: a network that aligns two frames of a sequence, trained without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from study.config.plain import plain
from study.config.resources import StageResources
from study.config.settings import parse
from study.config.spec import StudySpec
from study.planning.dataset_sizes import dataset_sizes
from study.planning.jobs import Job, ResourceRequest
from study.stages.configuration import Configuration
from study.stages.stage import Artifact, SharedStage, StageContext, StageResult
from study.stages.workload import Workload, samples_of, training_workload
from trainables.data.records import Split
from trainables.data.store.synthetic_store import synthetic_store
from trainables.engine.runtime import Runtime
from trainables.engine.settings import FitSettings
from trainables.registration.pairs import labelled_ends
from trainables.registration.training import RegistrationSettings, train_registration


class RegistrationStage(SharedStage):
    """Training of the registration network that propagates labels; its artifact holds the weights.

    A configuration uses it where `downstream.targets` is "propagated".
    """

    name = "registration"
    provides = "registration"

    def jobs(self, configuration: Configuration) -> Sequence[Job]:
        """Return the training of the registration network, where pseudo-labels are used."""
        spec = configuration.spec
        if spec.downstream.targets != "propagated":
            return []
        config = {self.name: plain(spec.registration), "seed": configuration.seed(self.name)}
        dataset = configuration.dataset(spec.registration_data)
        return [self.job(configuration, config, dataset=dataset, epochs=spec.registration.fit.epochs)]

    def run(self, job: Job, context: StageContext) -> StageResult:
        """Train the registration network, and return the weights of the best epoch."""
        settings = parse(RegistrationSettings, job.config[self.name])
        trained = train_registration(settings, context.store, context.runtime, job.config["seed"])
        metrics = dict(trained.fitted.metrics)
        return StageResult(metrics, len(trained.fitted.history), Artifact(trained.state, metrics=metrics))

    def evaluated_rows(self, job: Job, context: StageContext) -> Mapping[Split, np.ndarray]:
        """Return the validation rows that have masks of both ends of a sequence."""
        return {"val": labelled_ends(context.store, "val")[:, 0]}

    def resources(self, spec: StudySpec) -> StageResources:
        """Return the section `resources.registration`."""
        return spec.resources.registration

    def workload(self, spec: StudySpec, job: Job) -> Workload:
        """Return the pairs of frames of all epochs."""
        sizes, settings = dataset_sizes(spec.registration_data or spec.data), spec.registration
        pairs = sizes.sequences["train"]
        if settings.pairs == "all":
            pairs *= (sizes.frames["train"] / max(1.0, pairs)) ** 2
        return registration_workload(spec, job.resources, samples_of(settings.fit, pairs))


def registration_workload(spec: StudySpec, resources: ResourceRequest, pairs: float) -> Workload:
    """Return the workload of aligning this many pairs of frames, in units of training pairs."""
    settings, size = spec.registration, spec.data.image_size

    def measure(short: FitSettings, batch: int, runtime: Runtime) -> Sequence[dict[str, float]]:
        brief = replace(settings, fit=short, pairs="one_per_sequence")
        return train_registration(brief, synthetic_store(2 * batch, size, 2), runtime, spec.seed).fitted.history

    return training_workload(
        pairs,
        settings.fit,
        resources,
        measure,
        stage=RegistrationStage.name,
        network=plain(spec.network),
        method=plain(settings.network),
        image_size=size,
    )
