"""The model card: a Markdown description of weights for the people who receive them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from study.tracking.metric_meanings import meaning_of

if TYPE_CHECKING:
    from torch import Tensor

    from study.storage.artifacts import ArtifactStore

SUPERVISED = "Trained for segmentation, on the labels of some subjects."
SELF_SUPERVISED = "Pretrained without labels. These weights are from before any fine-tuning for segmentation."


def model_card(title: str, about: Mapping[str, Any], weights: Mapping[str, Tensor], artifacts: ArtifactStore) -> str:
    """Return a model card as Markdown.

    Args:
        title: the card's heading, such as the study and the job.
        about: the artifact's description: `stage`, `digest`, `config` and, where known, `metrics` and `learning`.
        weights: the state dict that the card describes.
        artifacts: store that describes the artifact that training started from.
    """
    from study.stages import STAGES  # imports torch, which the command line's help must not wait for

    config = about["config"]
    size = sum(value.numel() for value in weights.values())
    facts = {
        **_training(config),
        "initial weights": _initial_weights(_start(config), artifacts),
        "artifact": f"`{about['digest']}`",
        "data fingerprint": f"`{config['data']}`",
        "seed": config["seed"],
    }
    if about.get("learning"):
        facts["verdict on the pretraining"] = "{verdict}: {reason}".format(**about["learning"])
    listed = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    settings = {name: value for name, value in config.items() if value is not None}
    return (
        f"# {title}\n\n"
        f"{SUPERVISED if STAGES[about['stage']].supervised else SELF_SUPERVISED} "
        f"{len(weights)} tensors with {size:,} values in total.\n\n"
        "Not a medical device. For research only: validate the model on your data before you rely on it.\n\n"
        f"{listed}\n\n"
        "Input: images scaled to [0, 1], then normalized by the mean and standard deviation of the training frames.\n\n"
        f"## Metrics of the epoch that the weights are from\n\n{_metric_table(about.get('metrics', {}))}\n\n"
        f"## Configuration\n\n```json\n{json.dumps(settings, indent=2)}\n```\n"
    )


def _training(config: Mapping[str, Any]) -> dict[str, str]:
    """Return method and labels of the training, as far as the configuration of a shipped stage says them."""
    method = config.get("pretext", {}).get("method")
    downstream = config.get("downstream", {})
    facts = {"method": f"`{method['name']}`"} if method else {}
    if downstream.get("labels") is not None:
        facts["labels"] = f"{downstream['labels']} labelled training subjects"
    elif "label_fraction" in downstream:
        facts["labels"] = f"{100 * downstream['label_fraction']:g}% of the labelled training subjects"
    if config.get("labels") is not None:
        facts["pseudo-labels"] = f"artifact `{config['labels']}`"
    return facts


def _start(config: Mapping[str, Any]) -> Any:
    """Return the start of a stage's configuration; a pretraining names a file in its settings."""
    before = (config.get("pretext") or {}).get("init_from") or {}
    return {"name": "file", "path": before["file"]} if "file" in before else config.get("start")


def _initial_weights(start: Any, artifacts: ArtifactStore) -> str:
    """Return the weights that training started from, in words.

    Args:
        start: `start` of a stage's configuration: None for random weights, an artifact's digest, or a mapping with the
            digest as `artifact` or the name of other weights as `name`.
        artifacts: store of the artifact.
    """
    named = start if isinstance(start, Mapping) else {"artifact": start} if start is not None else {"name": "random"}
    if "artifact" not in named:
        return f"{named['name']} `{named['path']}`" if "path" in named else str(named["name"])
    address = str(named["artifact"])
    job = f"{artifacts.about(address)['job']}, " if artifacts.has(address) else ""
    return f"{job}artifact `{address}`"


def _metric_table(metrics: Mapping[str, float]) -> str:
    lines = ["| metric | value | unit or range | meaning |", "| :-- | --: | :-- | :-- |"]
    for name, value in sorted(metrics.items()):
        unit, text = meaning_of(name)
        lines.append(f"| {name} | {value:.6g} | {unit} | {text} |")
    return "\n".join(lines)
