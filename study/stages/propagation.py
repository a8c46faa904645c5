"""The propagation stage: pseudo-labels for the frames between two labelled ones, by registration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from study.config.plain import plain
from study.config.resources import StageResources
from study.config.settings import parse
from study.config.spec import StudySpec
from study.planning.dataset_sizes import dataset_sizes
from study.planning.jobs import Job
from study.stages.configuration import Configuration
from study.stages.registration import RegistrationStage, registration_workload
from study.stages.results.label_quality import quality_metrics, quality_table
from study.stages.stage import Artifact, SharedStage, StageContext, StageResult
from study.stages.workload import EVALUATION_COST, Workload
from trainables.data.records import SPLITS, Split
from trainables.data.sampling.sequences import half_cycles
from trainables.registration.network import DLIR
from trainables.registration.propagate import Propagation
from trainables.registration.pseudo_labels import pseudo_labels


class PropagationStage(SharedStage):
    """Propagation of labels through each sequence; its artifact holds the pseudo-labels.

    The arrays are `rows` int (N,), positions in the frame store, and `masks` uint8 (N, S, S), class indices. The table
    `quality` compares them with true masks where a dataset has some.
    """

    name = "propagation"
    provides = "labels"

    def jobs(self, configuration: Configuration) -> Sequence[Job]:
        """Return the propagation by the configuration's registration network, where it has one."""
        registration = configuration.output(RegistrationStage.provides)
        if registration is None:
            return []
        spec = configuration.spec
        config = {
            "network": plain(spec.registration.network),
            self.name: plain(spec.propagation),
            "start": registration.digest,
        }
        return [self.job(configuration, config, inputs={RegistrationStage.provides: registration})]

    def run(self, job: Job, context: StageContext) -> StageResult:
        """Propagate the labels, and measure their agreement with true masks."""
        settings, network = parse(Propagation, job.config[self.name]), parse(DLIR, job.config["network"])
        weights = context.artifacts.weights(job.inputs[RegistrationStage.provides])
        store, runtime = context.store, context.runtime
        made = pseudo_labels(settings, network, weights, store, runtime.device)
        metrics = {"frames": float(len(made.labels.rows)), **quality_metrics(made.quality)}
        runtime.report(1, metrics)
        arrays = {"rows": made.labels.rows, "masks": made.labels.masks}
        tables = {"quality": quality_table(made.quality, store)} if made.quality else {}
        return StageResult(metrics, 1, Artifact(arrays=arrays, tables=tables, metrics=metrics))

    def evaluated_rows(self, job: Job, context: StageContext) -> Mapping[Split, np.ndarray]:
        """Return the rows between labelled ends, in every split."""
        found = {split: half_cycles(context.store, split) for split in SPLITS}
        return {split: np.concatenate([np.zeros(0, np.int64), *cycles]) for split, cycles in found.items()}

    def resources(self, spec: StudySpec) -> StageResources:
        """Return `resources.registration` with a single worker."""
        return replace(spec.resources.registration, workers=1)

    def workload(self, spec: StudySpec, job: Job) -> Workload:
        """Return the pairs of frames of both directions, which the registration network only evaluates."""
        pairs = 2 * sum(dataset_sizes(spec.data).frames.values())
        return registration_workload(spec, job.resources, EVALUATION_COST * pairs)
