"""The model card: a Markdown description of weights for the people who receive them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from study.tracking.metric_meanings import meaning_of

if TYPE_CHECKING:
    from torch import Tensor

    from study.storage.artifacts import ArtifactStore
    from trainables.data.readers.grey import GreyRule
    from trainables.data.store.frames import FrameStore
    from trainables.prediction.preprocessing import Preprocessing

RESEARCH_ONLY = "Not a medical device. For research only: validate the model on your data before you rely on it."
SUPERVISED = "Trained for segmentation, on the labels of some subjects."
SELF_SUPERVISED = "Pretrained without labels. These weights are from before any fine-tuning for segmentation."

_STRETCHED = "stretched: their percentiles 0.5 and 99.5 become 0 and 255, over all frames of a file together"
GREY_TEXTS: Mapping[GreyRule, str] = {
    "uint8": f"Images of type uint8 are taken as they are, as levels 0 to 255; others are {_STRETCHED}.",
    "display": f"Values in 0 to 255 with a percentile 99.5 from 25.5 up are taken as levels; others are {_STRETCHED}.",
    "stretched": f"All values are {_STRETCHED} and for each channel by itself.",
}
"""Conversion of image values to gray levels in words, by the rule of the dataset's layout."""


def model_card(
    title: str,
    about: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    artifacts: ArtifactStore,
    store: FrameStore | None = None,
) -> str:
    """Return a model card as Markdown.

    Args:
        title: the card's heading, such as the study and the job.
        about: the artifact's description: `stage`, `digest`, `config` and, where known, `metrics` and `learning`.
        weights: the state dict that the card describes.
        artifacts: store that describes the artifact that training started from.
        store: frame store of the training; None where it no longer exists.
    """
    from study.stages import STAGES  # imports torch, which the command line's help must not wait for

    config = about["config"]
    size = sum(value.numel() for value in weights.values())
    facts = {
        **training_facts(config),
        "initial weights": initial_weights(start_of(config), artifacts),
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
        f"{RESEARCH_ONLY}\n\n{listed}\n\n"
        f"## Input\n\n{_frames_text(store)}\n\n"
        f"## Metrics of the epoch that the weights are from\n\n{_metric_table(about.get('metrics', {}))}\n\n"
        f"## Configuration\n\n```json\n{json.dumps(settings, indent=2)}\n```\n"
    )


def input_text(preprocessing: Preprocessing) -> str:
    """Return what a network's input is, with its numbers, as Markdown."""
    given, size = preprocessing, preprocessing.image_size
    if given.pixel_mm is None:
        resized = f"The full image is resized to {size} x {size} pixels; its aspect ratio is not kept."
    else:
        resized = f"The image is resampled to pixels of {given.pixel_mm:g} mm, and cut or padded to {size} x {size}."
    resampling = "Area averaging shrinks images, linear interpolation enlarges them."
    return (
        f"1. {GREY_TEXTS[given.grey]}\n"
        f"2. {resized} {resampling} The result is rounded to whole levels.\n"
        f"3. {_normalization(given.channels, given.mean, given.std)}\n"
    )


def _frames_text(store: FrameStore | None) -> str:
    """Return size and normalization of the frames that the weights were trained on."""
    if store is None:
        return "Not known, as the frame store of the training no longer exists."
    size = store.image_size
    return f"Frames of {size} x {size} pixels. {_normalization(store.channel_names, store.mean, store.std)}"


def _normalization(channels: Sequence[str], means: Sequence[float], deviations: Sequence[float]) -> str:
    numbers = zip(channels, means, deviations, strict=True)
    listed = "; ".join(f"{name}: mean {mean:.6g}, standard deviation {std:.6g}" for name, mean, std in numbers)
    return f"Levels 0 to 255 are divided by 255, and normalized by the training frames' {listed}."


def training_facts(config: Mapping[str, Any]) -> dict[str, str]:
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


def start_of(config: Mapping[str, Any]) -> Any:
    """Return the start of a stage's configuration; a pretraining names a file in its settings."""
    before = (config.get("pretext") or {}).get("init_from") or {}
    return {"name": "file", "path": before["file"]} if "file" in before else config.get("start")


def initial_weights(start: Any, artifacts: ArtifactStore) -> str:
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
