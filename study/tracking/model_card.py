"""The model card: a Markdown description of weights for the people who receive them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def model_card(title: str, about: Mapping[str, Any], weights: Mapping[str, Tensor]) -> str:
    """Return a model card as Markdown.

    Args:
        title: the card's heading, such as the study and the job.
        about: the artifact's description: `stage`, `digest`, `config` and, where known, `metrics`.
        weights: the state dict that the card describes.
    """
    from study.stages import STAGES  # imports torch, which the command line's help must not wait for

    config = about["config"]
    size = sum(value.numel() for value in weights.values())
    metrics = "\n".join(f"- {key}: {value:.6g}" for key, value in sorted(about.get("metrics", {}).items()))
    labels = "on the labels of some subjects" if STAGES[about["stage"]].supervised else "without labels"
    return (
        f"# {title}\n\n"
        f"{len(weights)} tensors with {size:,} values in total, trained {labels}.\n\n"
        "Not a medical device. For research only: validate the model on your data before you rely on it.\n\n"
        f"- artifact: `{about['digest']}`\n- data fingerprint: `{config['data']}`\n- seed: {config['seed']}\n\n"
        "Input: images scaled to [0, 1], then normalized by the mean and standard deviation of the training frames.\n\n"
        f"## Metrics of the selected epoch\n\n{metrics}\n\n"
        f"## Configuration\n\n```json\n{json.dumps(config, indent=2)}\n```\n"
    )
