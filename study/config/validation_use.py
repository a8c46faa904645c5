"""Check that what reads the labels of validation subjects can do so with those that a study chooses."""

from __future__ import annotations

from study.config.search import NoPruner, SearchSpec
from trainables.downstream.settings import DownstreamSettings
from trainables.networks.network import NetworkSettings


def check_validation(
    downstream: DownstreamSettings, search: SearchSpec, network: NetworkSettings, *, probed: bool
) -> None:
    """Check that search, network and probe can do with the validation and test subjects of the downstream stage.

    Args:
        downstream: the downstream stage.
        search: the search that chooses by validation.
        network: the network, whose trainer may need validation subjects.
        probed: True if a probe of the pretraining reads labels of the same dataset.

    Raises:
        ValueError: the search, the network or the probe needs others.
    """
    validation, tested = downstream.validation, downstream.test == "folds"
    if tested and probed:
        raise ValueError(
            "downstream.test is folds, so that pretext.probe would read labels of tested subjects. "
            "Fix: remove pretext.probe, or set downstream.test to split"
        )
    if validation == "none" and search.space:
        raise ValueError(
            "downstream.validation is none, but a search chooses by validation. Fix: remove search.space, or set "
            "downstream.validation to cross_validation (with downstream.folds), same or a number"
        )
    if validation == "none" and network.trainer == "nnunet" and not tested:
        raise ValueError("downstream.validation is none, but nnunet watches validation subjects, expected another")
    if validation == "cross_validation" and "val/smoothness" in search.objectives:
        raise ValueError(
            "search.objectives has val/smoothness, which segments sequences of the validation split "
            "(downstream.validation is cross_validation, expected all, same or a number)"
        )
    if validation != "all" and not isinstance(search.pretext_pruner, NoPruner):
        raise ValueError(
            "search.pretext_pruner stops by a probe that reads all validation labels "
            f"(downstream.validation is {validation}, expected all). Fix: remove pretext_pruner"
        )
