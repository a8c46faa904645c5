"""Parts of the strength stage and of the pretext stage: the trained part of a network, and the cost of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from study.config.plain import plain
from study.config.settings import parse
from study.config.spec import StudySpec
from study.planning.dataset_sizes import dataset_sizes
from study.planning.jobs import Job, ResourceRequest
from study.stages.workload import Workload, samples_of, training_workload
from trainables.data.records import GREY
from trainables.data.store.synthetic_store import synthetic_store
from trainables.engine.runtime import Runtime
from trainables.engine.settings import FitSettings
from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings
from trainables.pretext.method import NetworkMethod
from trainables.pretext.pretrain import PretextSettings, pretrain


def trained_part(spec: StudySpec, step: PretextSettings) -> Mapping[str, Any]:
    """Return the settings of what a step trains, as part of a job's `config`: `network`, or only its `backbone`."""
    if isinstance(step.method, NetworkMethod):
        return {"network": plain(spec.network.image_network)}
    return {"backbone": plain(spec.network.backbone)}


def network_of(job: Job) -> NetworkSettings | BackboneSettings:
    """Return the settings of what a job trains, from its `config`."""
    if "network" in job.config:
        return parse(NetworkSettings, job.config["network"])
    return parse(BackboneSettings, job.config["backbone"])


def pretraining_workload(spec: StudySpec, step: PretextSettings, resources: ResourceRequest, runs: int = 1) -> Workload:
    """Return the images of all epochs and evaluations of one step, `runs` times."""
    data = spec.pretext_data or spec.data
    sizes = dataset_sizes(data)
    images = sizes.frames if step.frames == "all" else sizes.sequences

    def measure(brief: FitSettings, batch: int, runtime: Runtime) -> Sequence[dict[str, float]]:
        settings = replace(step, fit=brief, guard="off", probe=None, augment=step.augment.resolved(1.0))
        store = synthetic_store(2 * batch, data.image_size, 1, step.augment.channels or GREY)
        return pretrain(settings, spec.network, store, runtime, spec.seed).fitted.history

    return training_workload(
        runs * samples_of(step.fit, images["train"], images["val"]),
        step.fit,
        resources,
        measure,
        stage="pretext",
        network=plain(spec.network),
        method=plain(step.method),
        image_size=data.image_size,
    )
