"""The pretext stage: pretraining without labels, in one step or in a chain of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from study.config.plain import component_name, plain
from study.config.settings import parse
from study.config.spec import StageResources, Start, StudySpec
from study.planning.dataset_sizes import dataset_sizes
from study.planning.jobs import Job
from study.stages.configuration import Configuration
from study.stages.stage import Artifact, SharedStage, StageContext, StageResult
from study.stages.workload import Workload, samples_of, training_workload
from trainables.data.store.synthetic_store import synthetic_store
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings
from trainables.pretext.method import NetworkMethod
from trainables.pretext.pretrain import PretextSettings, pretrain


class PretextStage(SharedStage):
    """Pretraining of the backbone, or of the whole network; its artifact holds the weights.

    A configuration has one job for each step of its chain `pretext.init_from`, each starting from the weights of the
    step before, and none where `pretext.method` is random or ImageNet weights.
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
        whole_network = isinstance(step.method, NetworkMethod)
        trained = {"network": spec.network.image_network} if whole_network else {"backbone": spec.network.backbone}
        config = {
            self.name: plain(step if before is not None else replace(step, init_from=None)),
            **{part: plain(settings) for part, settings in trained.items()},
            "start": before.digest if before is not None else None,
            "seed": configuration.seed(self.name),
        }
        return self.job(
            configuration,
            config,
            dataset=configuration.dataset(spec.pretext_data),
            inputs={self.provides: before} if before is not None else {},
            epochs=step.fit.epochs,
            levels={"method": str(component_name(type(step.method)))},
        )

    def run(self, job: Job, context: StageContext) -> StageResult:
        """Pretrain, and return the weights after the last epoch."""
        settings = parse(PretextSettings, job.config[self.name])
        network: NetworkSettings | BackboneSettings
        if "network" in job.config:
            network = parse(NetworkSettings, job.config["network"])
        else:
            network = parse(BackboneSettings, job.config["backbone"])
        before = job.inputs.get(self.provides)
        start = context.artifacts.weights(before) if before is not None else None
        done = pretrain(settings, network, context.store, context.runtime, job.config["seed"], start)
        metrics = dict(done.fitted.metrics)
        if done.learning is not None and done.learning.skill is not None:
            metrics["val/skill"] = done.learning.skill
        artifact = Artifact(done.weights, metrics=metrics)
        return StageResult(metrics, len(done.fitted.history), artifact, done.learning)

    def resources(self, spec: StudySpec) -> StageResources:
        """Return the section `resources.pretext`."""
        return spec.resources.pretext

    def workload(self, spec: StudySpec, job: Job) -> Workload:
        """Return the images of all epochs and evaluations of one step."""
        step, data = parse(PretextSettings, job.config[self.name]), spec.pretext_data or spec.data
        sizes = dataset_sizes(data)
        images = sizes.frames if step.frames == "all" else sizes.sequences

        def measure(short: FitSettings, batch: int) -> Sequence[dict[str, float]]:
            settings = replace(step, fit=short, guard="off", probe=None)
            store = synthetic_store(2 * batch, data.image_size, 1)
            return pretrain(settings, spec.network, store, LocalRuntime(), spec.seed).fitted.history

        return training_workload(
            samples_of(step.fit, images["train"], images["val"]),
            step.fit,
            self.resources(spec).cpus,
            measure,
            stage=self.name,
            network=plain(spec.network),
            method=plain(step.method),
            image_size=data.image_size,
        )
