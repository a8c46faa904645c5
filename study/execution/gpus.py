"""Numbers of GPUs for the stages of a study that leaves them open, by what the cluster has."""

from __future__ import annotations

from study.config.definition import Study
from study.config.resources import Capacity
from study.execution.cluster import capacity, local_resources, ray_session
from study.planning.calibration import Calibration
from study.planning.datasets import Datasets, unprepared
from study.planning.gpu_share import chosen_line, leaves_gpus_open, with_numbers
from study.progress import Progress


def with_gpus(
    study: Study,
    address: str | None,
    progress: Progress,
    rates: Calibration | None = None,
    datasets: Datasets = unprepared,
) -> Study:
    """Return a study with numbers of GPUs that suit the cluster in place of every `auto`, and say which.

    Args:
        study: study as its file describes it.
        address: address of the Ray cluster, which is joined for a moment; None for this machine.
        progress: progress display.
        rates: measurements on this machine; None for no fractions of a GPU.
        datasets: function that finds the study's frame stores.

    Raises:
        ClusterLost: the cluster cannot be joined.
    """
    if not leaves_gpus_open(study):
        return study
    chosen = with_numbers(study, _gpus_of(address, study.spec.resources.max), rates, datasets)
    if line := chosen_line(study, chosen):
        progress.message(line)
    return chosen


def _gpus_of(address: str | None, most: Capacity | None) -> float:
    """Return the GPUs that a cluster has or may scale to."""
    if address is None:
        return capacity(local_resources(), most)["GPU"]
    with ray_session(address) as resources:
        return capacity(resources, most)["GPU"]
