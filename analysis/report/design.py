"""Data and design of a study, for the first screen of its report: only what the study recorded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import torch

from analysis.io.load import StudyResults
from study.config.problems import SpecError
from study.config.settings import parse
from study.storage.ledger import read_ledger
from trainables.data.layouts import LAYOUTS
from trainables.data.records import SPLITS
from trainables.data.store.frames import FrameStore
from trainables.networks.network import NetworkSettings

GENERATED = "GENERATED images"
"""Words that tell a phantom from patients."""


def design(results: StudyResults, store: FrameStore | None) -> list[tuple[str, str]]:
    """Return the terms and texts of the design box, in order.

    Args:
        results: results of the study.
        store: its frame store; None where it cannot be opened.
    """
    return [(term, text) for term, text in _entries(results, store) if text]


def is_generated(results: StudyResults) -> bool:
    """Return True for a study on a phantom."""
    return bool((results.plan.spec.get("data") or {}).get("phantom"))


def _entries(results: StudyResults, store: FrameStore | None) -> Iterator[tuple[str, str]]:
    spec = results.plan.spec
    yield "Data", _data(results)
    if store is not None:
        for split in SPLITS:
            yield f"{split} split", _split(store, split)
    yield "Labels", "; ".join(dict.fromkeys(str(count) for count in results.plan.labels.values()))
    yield "Network", _network(spec, store)
    fit = (spec.get("pretext") or {}).get("fit") or {}
    if any(kind not in ("trial", "replicate") for kind in results.plan.planned) and fit.get("epochs"):
        yield "Pretraining", f"{fit['epochs']} epochs, batches of {fit['batch_size']}"
    fit = (spec.get("downstream") or {}).get("fit") or {}
    if fit.get("epochs"):
        steps = f" of {fit['steps_per_epoch']} steps" if fit.get("steps_per_epoch") else ""
        yield "Fine-tuning", f"{fit['epochs']} epochs{steps}, batches of {fit['batch_size']}"
    yield "Search", _search(results)
    runs = spec.get("replicates") or {}
    if isinstance(runs, dict) and runs:
        yield "Replicates", f"{runs['runs']} a cell, from {_counted(runs['pretrainings'], 'pretraining')}"
    yield "Ran", _ran(results)


def _data(results: StudyResults) -> str:
    data = results.plan.spec.get("data") or {}
    layout = data.get("layout") or {}
    name = layout.get("name", "") if isinstance(layout, dict) else str(layout)
    title = LAYOUTS[name].title if name in LAYOUTS else name
    if not title:
        return ""
    size = f", {data['image_size']} pixels" if data.get("image_size") else ""
    return f"{GENERATED} in the form of {title}{size}" if data.get("phantom") else f"{title}{size}"


def _split(store: FrameStore, split: Any) -> str:
    frames, masks = len(store.rows(split)), len(store.rows(split, labelled=True))
    return f"{_counted(len(store.split_subjects(split)), 'subject')}, {frames} images ({masks} with masks)"


def _network(spec: Any, store: FrameStore | None) -> str:
    network = spec.get("network") or {}
    if not network:
        return ""
    backbone = (network.get("backbone") or {}).get("name")
    name = f"{network['name']} with {backbone}" if backbone else str(network["name"])
    count = _parameters(network, store) if store is not None else 0
    return f"{name}, {count:,} parameters" if count else name


def _parameters(network: Any, store: FrameStore) -> int:
    """Return the number of parameters of the network for the store's images; 0 for one of another package."""
    try:
        settings = parse(NetworkSettings, network)
    except SpecError:
        return 0  # a network of a plug-in that is not installed
    if settings.trainer != "torch":
        return 0
    with torch.device("meta"):
        built = settings.build(len(store.channel_names), len(store.classes))
    return sum(parameter.numel() for parameter in built.parameters())


def _search(results: StudyResults) -> str:
    search = results.plan.spec.get("search") or {}
    if not results.plan.planned["trial"]:
        return "none"
    trials, settings = _counted(search.get("trials", 0), "trial"), _counted(len(search.get("space", {})), "setting")
    return f"{settings}, {trials} a cell ({search.get('sampler', '')})"


def _ran(results: StudyResults) -> str:
    times = [event.time for event in read_ledger(results.folder.ledger)]
    if not times:
        return ""
    first, last = (datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d") for time in (min(times), max(times)))
    hours = float(results.jobs["seconds"].sum()) / 3600 if len(results.jobs) else 0.0
    day = first if first == last else f"{first} to {last}"
    return f"{day} (UTC), {hours:.2g} hours of jobs"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
