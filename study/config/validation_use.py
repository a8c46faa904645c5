"""Check that what reads the labels of validation subjects can do so with those that a study chooses."""

from __future__ import annotations

from study.config.search import NoPruner, SearchSpec
from trainables.downstream.settings import Validation
from trainables.networks.network import NetworkSettings


def check_validation(validation: Validation, search: SearchSpec, network: NetworkSettings) -> None:
    """Check that search and network can do with these validation subjects.

    Args:
        validation: the setting `downstream.validation`.
        search: the search that chooses by validation.
        network: the network, whose trainer may need validation subjects.

    Raises:
        ValueError: the search or the network needs others.
    """
    if validation == "none" and search.space:
        raise ValueError(
            "downstream.validation is none, but a search chooses by validation. Fix: remove search.space, or set "
            "downstream.validation to cross_validation (with downstream.folds), same or a number"
        )
    if validation == "none" and network.trainer == "nnunet":
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
