"""Weight files as starts: their part of a job's `config`, whether they fit, and the weights of a running job."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import asdict, replace

from torch import Tensor

from study.config.spec import FileStart, Start, StudySpec
from study.planning.jobs import Job
from study.planning.network_check import OWN_TRAINER
from study.stages.stage import StageContext
from trainables.common.errors import CheckpointError, UserError
from trainables.common.files import write_json
from trainables.data.records import GREY
from trainables.networks.backbones import BackboneSettings
from trainables.networks.weight_files.load import WeightReport, check_file, initial_weights
from trainables.networks.weight_files.read import WeightsFile, sha256_of

PATH = "weights_file"
"""Key of the file's path in a job's `config`; the path is no part of the digest."""


def by_content(weights: WeightsFile) -> WeightsFile:
    """Return a file as a digest names it: by its content in place of its path."""
    return replace(weights, file=f"sha256:{sha256_of(weights.path)}")


def file_of(spec: StudySpec) -> WeightsFile | None:
    """Return the file from which the first training of a configuration starts; None for other starts."""
    method = spec.pretext.method
    if isinstance(method, FileStart):
        return method.weights
    before = None if isinstance(method, Start) else spec.pretext.chain[0].init_from
    return before if isinstance(before, WeightsFile) else None


def fit_of(spec: StudySpec) -> WeightReport | str | None:
    """Return how a configuration's file fits its backbone, or why it does not; None for a start without a file."""
    weights = file_of(spec)
    if weights is None or spec.network.trainer != OWN_TRAINER:
        return None
    return _fit(weights, spec.network.image_network.backbone, sha256_of(weights.path))


def weight_reports(specs: Iterable[StudySpec]) -> list[str]:
    """Return a line on each file that configurations start from and that fits."""
    fits = (fit_of(spec) for spec in specs)
    return list(dict.fromkeys(str(fit) for fit in fits if isinstance(fit, WeightReport)))


@functools.lru_cache(maxsize=256)
def _fit(weights: WeightsFile, backbone: BackboneSettings, sha256: str) -> WeightReport | str:
    try:
        return check_file(backbone, len(GREY), weights)
    except UserError as error:
        return str(error)


def planned_file(job: Job, planned: WeightsFile) -> WeightsFile:
    """Return the file of a job by its path, with the content that was planned.

    Args:
        job: job whose `config` has the file's path.
        planned: the file as the job's digest names it, from `by_content`.

    Raises:
        CheckpointError: the file has changed since the job was planned.
    """
    weights = replace(planned, file=job.config[PATH])
    found = by_content(weights)
    if found != planned:
        text = f"found {found.file[:20]}, expected {planned.file[:20]}"
        raise CheckpointError(f"{weights.file}: the weights have changed since the job was planned ({text})")
    return weights


def file_weights(
    job: Job, context: StageContext, planned: WeightsFile, backbone: BackboneSettings
) -> dict[str, Tensor]:
    """Return the initial weights of a job that starts from a file, and write into its folder what of them is loaded.

    Args:
        job: job whose `config` has the file's path.
        context: context of the running job.
        planned: the file as the job's digest names it, from `by_content`.
        backbone: settings of the backbone.

    Raises:
        CheckpointError: the file has changed since the job was planned, or does not fit.
    """
    weights = planned_file(job, planned)
    loaded, report = initial_weights(backbone, context.store.channels, weights, job.config["seed"])
    if context.runtime.rank == 0:
        write_json(context.folder.initial_weights, asdict(report))
    return loaded
