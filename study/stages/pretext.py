"""The pretext stage: pretraining without labels, in one step or in a chain of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from study.config.plain import component_name, plain
from study.config.resources import StageResources
from study.config.settings import parse
from study.config.spec import Start, StudySpec
from study.planning.jobs import Job
from study.stages.configuration import Configuration
from study.stages.pretraining import network_of, pretraining_workload, trained_part
from study.stages.stage import Artifact, SharedStage, StageContext, StageResult
from study.stages.strength import StrengthStage
from study.stages.weights_file import PATH, by_content, file_weights
from study.stages.workload import Workload
from trainables.data.records import Split
from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings
from trainables.networks.weight_files.read import WeightsFile
from trainables.pretext.pretrain import PretextSettings, epoch_rows, pretrain


class PretextStage(SharedStage):
    """Pretraining of the backbone, or of the whole network; its artifact holds the weights.

    A configuration has one job for each step of its chain `pretext.init_from`, each starting from the weights of the
    step before, the first one from a file if the chain names one. It has none where `pretext.method` names
    weights itself. A step whose `augment.strength` is "auto" reads the strength that the strength stage found.
    """

    name = "pretext"
    provides = "pretext"
    publishes_weights = True

    def jobs(self, configuration: Configuration) -> Sequence[Job]:
        """Return the pretrainings of a configuration, first step first."""
        if isinstance(configuration.spec.pretext.method, Start):
            return []
        jobs: list[Job] = []
        for step in configuration.spec.pretext.chain:
            jobs.append(self._step_job(configuration, step, jobs[-1] if jobs else None))
        return jobs

    def _step_job(self, configuration: Configuration, step: PretextSettings, before: Job | None) -> Job:
        """Return the job of one step; `before` makes the weights that it starts from."""
        spec = configuration.spec
        inputs = {self.provides: before} if before is not None else {}
        strength = configuration.output(StrengthStage.provides)
        if step.augment.strength == "auto" and strength is not None:
            inputs[StrengthStage.provides] = strength
        options: dict[str, str] = {"guard": step.guard}
        if isinstance(step.init_from, WeightsFile):
            options[PATH] = str(step.init_from.path)
        config = {
            self.name: unguarded(plain(_files_by_content(step))),
            **trained_part(spec, step),
            "start": before.digest if before is not None else None,
            "seed": configuration.seed(self.name),
        }
        return self.job(
            configuration,
            config,
            dataset=configuration.dataset(spec.pretext_data),
            inputs=inputs,
            epochs=step.fit.epochs,
            levels={"method": str(component_name(type(step.method)))},
            options=options,
        )

    def run(self, job: Job, context: StageContext) -> StageResult:
        """Pretrain, and return the weights after the last epoch."""
        settings, network = step_of(job), network_of(job)
        found = job.inputs.get(StrengthStage.provides)
        if found is not None:
            strength = float(context.artifacts.about(found)["metrics"]["strength"])
            settings = replace(settings, augment=settings.augment.resolved(strength))
        start = _initial_weights(job, context, network)
        done = pretrain(settings, network, context.store, context.runtime, job.config["seed"], start)
        metrics = dict(done.fitted.metrics)
        if found is not None:
            metrics["strength"] = settings.augment.factor
        if done.learning is not None and done.learning.skill is not None:
            metrics["val/skill"] = done.learning.skill
        artifact = Artifact(done.weights, metrics=metrics)
        return StageResult(metrics, len(done.fitted.history), artifact, done.learning)

    def evaluated_rows(self, job: Job, context: StageContext) -> Mapping[Split, np.ndarray]:
        """Return the validation rows of one epoch."""
        return {"val": epoch_rows(step_of(job), context.store, "val", job.config["seed"])(0)}

    def resources(self, spec: StudySpec) -> StageResources:
        """Return the section `resources.pretext`."""
        return spec.resources.pretext

    def workload(self, spec: StudySpec, job: Job) -> Workload:
        """Return the images of all epochs and evaluations of one step."""
        return pretraining_workload(spec, step_of(job), job.resources)


def _initial_weights(
    job: Job, context: StageContext, network: NetworkSettings | BackboneSettings
) -> Mapping[str, Tensor] | None:
    """Return the weights that a pretraining starts from, of the step before or of a file; None for random ones."""
    before = job.inputs.get(PretextStage.provides)
    if before is not None:
        return context.artifacts.weights(before)
    if PATH not in job.config:
        return None
    backbone = network if isinstance(network, BackboneSettings) else network.image_network.backbone
    planned = step_of(job).init_from
    assert isinstance(planned, WeightsFile)
    return file_weights(job, context, planned, backbone)


def _files_by_content(step: PretextSettings) -> PretextSettings:
    """Return a step whose chain names a file by its content."""
    before = step.init_from
    if isinstance(before, PretextSettings):
        return replace(step, init_from=_files_by_content(before))
    return replace(step, init_from=by_content(before)) if before is not None else step


def step_of(job: Job) -> PretextSettings:
    """Return the settings of the pretraining that a job of this stage runs."""
    settings: PretextSettings = parse(PretextSettings, job.config[PretextStage.name])
    return replace(settings, guard=job.config["guard"])


def unguarded(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain settings without the guard, which changes no pretraining that completes."""
    values = {key: value for key, value in step.items() if key != "guard"}
    if values.get("init_from") is not None:
        values["init_from"] = unguarded(values["init_from"])
    return values
