"""The model card of an export: use, data, subjects, results with intervals, limits and licences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import yaml

from study.export.networks import ExportedNetworks
from study.prediction.trained_cell import TrainedCell
from study.scheduling.state import StudyState
from study.storage.artifacts import ArtifactStore
from study.storage.events import JobFinished
from study.storage.ledger import read_ledger
from study.tracking.model_card import RESEARCH_ONLY, initial_weights, input_text, start_of, training_facts
from trainables.data.records import SPLITS

USE = """\
    from load import Model  # load.py of this folder, which needs PyTorch only

    model = Model("FOLDER")
    masks = model(images)  # uint8 class indices (B, H, W) for images (B, C, H, W), at their own size

| file | content |
| :-- | :-- |
| `models/model.pt2` | networks with their preprocessing, a program of `torch.export` |
| `models/model.onnx` | the same graph for ONNX Runtime: `images` float32 in, `probabilities` (B, K, H, W) out |
| `weights.safetensors` | weights of the networks by name, with `preprocessing.json` as metadata |
| `preprocessing.json` | size, gray levels, channels, mean, standard deviation, class names |
| `configs/`, `models/model.pt` | make the folder a bundle of MONAI: `monai.bundle.load`, `python -m monai.bundle run` |
"""


@dataclass(frozen=True)
class Score:
    """Test score of an exported cell or replicate.

    Attributes:
        mean: mean test Dice over subjects and replicates.
        low: lower bound of its 95% confidence interval; NaN where there is none.
        high: upper bound of the interval.
        subjects: number of test subjects.
        caveat: limitation of the interval in words, or "".
    """

    mean: float
    low: float
    high: float
    subjects: int
    caveat: str = ""

    def __str__(self) -> str:
        bounds = f", 95% interval {self.low:.3f} to {self.high:.3f}" if np.isfinite(self.low + self.high) else ""
        return f"{self.mean:.3f}{bounds}, {self.subjects} subjects{f' ({self.caveat})' if self.caveat else ''}"


def export_card(exported: ExportedNetworks, score: Score | None, licence: str, data_licence: str) -> str:
    """Return the model card of an export as Markdown, with the licences in its front matter.

    Args:
        exported: the exported networks.
        score: test score of single networks; None where nothing was tested.
        licence: licence of the weights.
        data_licence: licence or terms of use of the training images.
    """
    cell = exported.cell
    config, chosen = exported.about[0]["config"], _outcome(cell)
    front = {
        "license": licence,
        "data_license": data_licence,
        "tags": ["image-segmentation", "medical-imaging"],
        "library_name": "pytorch",
    }
    facts = {
        **training_facts(config),
        "initial weights": initial_weights(start_of(config), ArtifactStore(cell.folder.workspace.artifacts)),
        "networks": f"{len(exported.members)}, of replicates {_listed([each.index for each in cell.replicates])}",
        "searched settings": ", ".join(f"{name}={value}" for name, value in chosen.params.items()) or "none",
        "seeds": _listed([about["config"]["seed"] for about in exported.about]),
    }
    sections = {
        "Use": USE,
        "Input": input_text(cell.preprocessing),
        "Output": _classes(cell.preprocessing.classes),
        "Data": _bullets(_data(cell, chosen.outcome.metrics)),
        "Training": _bullets(facts),
        "Results": _results(len(exported.members), score),
        "Limits": _limits(cell, score),
        "Licences": _bullets({"weights": licence, "training images": data_licence}),
    }
    body = "\n".join(f"## {title}\n\n{text.rstrip()}\n" for title, text in sections.items())
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n# {exported.title}\n\n{RESEARCH_ONLY}\n\n{body}"


def _outcome(cell: TrainedCell) -> JobFinished:
    """Return the end of the cell's first replicate."""
    return StudyState.replay(read_ledger(cell.folder.ledger)).outcomes[cell.replicates[0].job]


def _data(cell: TrainedCell, metrics: Mapping[str, float]) -> dict[str, str]:
    """Return the dataset, and subjects and frames of its splits; no identifier of a subject is in it."""
    store, settings = cell.store, cell.data
    labelled = {
        name: f"{metrics[key]:g} subjects in each replicate"
        for name, key in (("labelled for training", "labelled_subjects"), ("for validation", "validation_subjects"))
        if key in metrics
    }
    generated = {"generated": "the images are drawn by a simulation, not taken of patients"} if settings.phantom else {}
    splits = {
        f"split `{split}`": f"{len(store.split_subjects(split))} subjects, {len(store.rows(split))} stored frames"
        for split in SPLITS
    }
    return {
        "dataset": settings.layout.title,
        **generated,
        "fingerprint": f"`{store.fingerprint}`",
        "views": ", ".join(filter(None, store.views)) or "one",
        "split by": store.split_by,
        **splits,
        **labelled,
    }


def _results(networks: int, score: Score | None) -> str:
    if score is None:
        return "None: no test results are in the study."
    several = "" if networks == 1 else " The mean of all networks, which this export gives, was not tested."
    return f"Test Dice of a single replicate, mean over subjects and classes: {score}.{several}\n"


def _limits(cell: TrainedCell, score: Score | None) -> str:
    tested = score.subjects if score is not None else 0
    return "\n".join(
        (
            f"- Tested on {tested} subjects of the dataset that it was trained on, and on no other data.",
            f"- Segments {', '.join(cell.preprocessing.classes[1:])} only; everything else is background.",
            "- Every image gets a mask, whether or not it shows what the networks were trained on.",
            "- The probabilities are not calibrated.",
        )
    )


def _classes(names: Sequence[str]) -> str:
    rows = "\n".join(f"| {number} | {name} |" for number, name in enumerate(names))
    return (
        f"Class indices of the masks, and channels of the probabilities:\n\n| index | class |\n| --: | :-- |\n{rows}\n"
    )


def _bullets(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items()) + "\n"


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
