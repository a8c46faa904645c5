"""The strength stage: the strongest augmentation at which a pretext method still learns, by short pretrainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from study.config.plain import component_name, plain
from study.config.resources import StageResources
from study.config.settings import parse
from study.config.spec import Start, StudySpec
from study.planning.jobs import Job
from study.stages.configuration import Configuration
from study.stages.pretraining import network_of, pretraining_workload, trained_part
from study.stages.stage import Artifact, SharedStage, StageContext, StageResult
from study.stages.workload import Workload
from trainables.common.seeds import derive
from trainables.data.records import Split
from trainables.pretext.pretrain import PretextSettings, epoch_rows
from trainables.pretext.strength import STRENGTHS, short, strongest, try_strengths


class StrengthStage(SharedStage):
    """Choice of `pretext.augment.strength: auto`; the metric `strength` of its artifact is the result.

    All pretrainings of a configuration, whatever their seed, share one choice.
    """

    name = "strength"
    provides = "strength"

    def jobs(self, configuration: Configuration) -> Sequence[Job]:
        """Return the choice for the first step of the configuration's chain, if that step asks for it."""
        spec = configuration.spec
        if isinstance(spec.pretext.method, Start):
            return []
        step = spec.pretext.chain[0]
        if step.augment.strength != "auto":
            return []
        config = {
            self.name: {key: value for key, value in plain(step).items() if key not in ("guard", "probe")},
            **trained_part(spec, step),
            "seed": derive(spec.seed, self.name),
        }
        job = self.job(
            configuration,
            config,
            dataset=configuration.dataset(spec.pretext_data),
            epochs=len(STRENGTHS),
            levels={"method": str(component_name(type(step.method)))},
        )
        return [job]

    def run(self, job: Job, context: StageContext) -> StageResult:
        """Pretrain briefly at rising strengths, and return the strongest that still learns."""
        settings = parse(PretextSettings, job.config[self.name])
        tried = try_strengths(settings, network_of(job), context.store, context.runtime, job.config["seed"])
        metrics = {"strength": strongest(tried), **{f"val/skill_at_{entry.strength:g}": entry.skill for entry in tried}}
        return StageResult(metrics, len(tried), Artifact(metrics=metrics))

    def evaluated_rows(self, job: Job, context: StageContext) -> Mapping[Split, np.ndarray]:
        """Return the validation rows of one epoch."""
        settings = parse(PretextSettings, job.config[self.name])
        return {"val": epoch_rows(settings, context.store, "val", job.config["seed"])(0)}

    def resources(self, spec: StudySpec) -> StageResources:
        """Return `resources.pretext` with a single worker."""
        return replace(spec.resources.pretext, workers=1)

    def workload(self, spec: StudySpec, job: Job) -> Workload:
        """Return the images of all short pretrainings."""
        settings = parse(PretextSettings, job.config[self.name])
        return pretraining_workload(spec, short(settings, 1.0), job.resources, len(STRENGTHS))
