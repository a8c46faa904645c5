"""Starts from weight files: their part of a job's `config`, whether they fit, and the weights of a running job."""

from __future__ import annotations

import functools
import logging
from dataclasses import replace

from torch import Tensor

from study.planning.jobs import Job
from study.stages.stage import StageContext
from trainables.common.errors import CheckpointError, UserError
from trainables.data.records import GREY
from trainables.networks.backbones import BackboneSettings
from trainables.networks.weight_files.load import check_file, initial_weights
from trainables.networks.weight_files.read import WeightsFile, sha256_of

log = logging.getLogger(__name__)

PATH = "weights_file"
"""Key of the file's path in a job's `config`; the path is no part of the digest."""


def by_content(weights: WeightsFile) -> WeightsFile:
    """Return a file as a digest names it: by its content in place of its path."""
    return replace(weights, file=f"sha256:{sha256_of(weights.path)}")


def file_problem(weights: WeightsFile, backbone: BackboneSettings) -> str | None:
    """Return why a backbone cannot start from a file; None if it can."""
    return _problem(weights, backbone, sha256_of(weights.path))


@functools.lru_cache(maxsize=256)
def _problem(weights: WeightsFile, backbone: BackboneSettings, sha256: str) -> str | None:
    try:
        check_file(backbone, len(GREY), weights)
    except UserError as error:
        return str(error)
    return None


def file_weights(
    job: Job, context: StageContext, planned: WeightsFile, backbone: BackboneSettings
) -> dict[str, Tensor]:
    """Return the initial weights of a job that starts from a file, and log what of the file is loaded.

    Args:
        job: job whose `config` has the file's path.
        context: context of the running job.
        planned: the file as the job's digest names it, from `by_content`.
        backbone: settings of the backbone.

    Raises:
        CheckpointError: the file has changed since the job was planned, or does not fit.
    """
    weights = replace(planned, file=job.config[PATH])
    found = by_content(weights)
    if found != planned:
        text = f"found {found.file[:20]}, expected {planned.file[:20]}"
        raise CheckpointError(f"{weights.file}: the weights have changed since the job was planned ({text})")
    loaded, report = initial_weights(backbone, context.store.channels, weights, job.config["seed"])
    if context.runtime.rank == 0:
        log.info("initial weights: %s", report)
    return loaded
