"""Networks of a study with their numbers of parameters."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from analysis.io.load import StudyResults
from study.config.settings import parse
from trainables.common.errors import UserError
from trainables.data.store.frames import FrameStore
from trainables.networks.network import NetworkSettings


def network_texts(results: StudyResults, store: FrameStore | None) -> list[str]:
    """Return the networks that the study trains: those of its replicates, or of the study file before there are any.

    Args:
        results: results of the study.
        store: frame store, for the numbers of channels and classes; None leaves out the numbers of parameters.
    """
    recorded = list(_trained(results)) or [results.plan.spec.get("network") or {}]
    return list(dict.fromkeys(_text(network, store) for network in recorded if network))


def _trained(results: StudyResults) -> Iterator[Mapping[str, Any]]:
    """Yield the network of one replicate of each cell."""
    for job in results.of_kind("replicate").drop_duplicates("cell")["id"]:
        path = results.folder.job(job).config
        network = json.loads(path.read_text()).get("config", {}).get("network") if path.exists() else None
        if network is not None:
            yield network


def _text(network: Mapping[str, Any], store: FrameStore | None) -> str:
    backbone = network.get("backbone") or {}
    name = f"{network['name']} on {backbone['name']}" if backbone else str(network["name"])
    number = _parameters(network, store) if store is not None else None
    return f"{name}, {number:,} parameters" if number is not None else name


def _parameters(network: Mapping[str, Any], store: FrameStore) -> int | None:
    """Return the number of parameters; None for a network that cannot be built here, as one of another package."""
    try:
        settings = parse(NetworkSettings, network)
        if settings.trainer != "torch":
            return None
        with torch.device("meta"):
            built = settings.build(store.channels, len(store.classes))
    except (UserError, NotImplementedError, RuntimeError):
        return None
    return sum(parameter.numel() for parameter in built.parameters())
