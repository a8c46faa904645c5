"""The model card: what whoever is handed weights has to know of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor


def model_card(title: str, about: Mapping[str, Any], weights: Mapping[str, Tensor]) -> str:
    """A card as Markdown.

    Args:
        title: what the weights are.
        about: the description of the artifact that they are from.
        weights: as they are handed on.
    """
    config = about["config"]
    size = sum(value.numel() for value in weights.values())
    metrics = "\n".join(f"- {key}: {value:.6g}" for key, value in sorted(about.get("metrics", {}).items()))
    labels = "on the labels of some subjects" if about["stage"] == "downstream" else "without labels"
    return (
        f"# {title}\n\n"
        f"{len(weights)} tensors, {size:,} numbers, trained {labels}.\n\n"
        "Not a medical device: for research, to be validated on the data that it is used on.\n\n"
        f"- artifact: `{about['digest']}`\n- data's fingerprint: `{config['data']}`\n- seed: {config['seed']}\n\n"
        "The input is scaled to 0..1, then by the training frames' mean and standard deviation.\n\n"
        f"## Kept epoch\n\n{metrics}\n\n## Settings\n\n```json\n{json.dumps(config, indent=2)}\n```\n"
    )
