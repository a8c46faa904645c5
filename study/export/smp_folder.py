"""The networks of an export as folders that `segmentation_models_pytorch.from_pretrained` loads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import torch
import yaml

from study.export.networks import ExportedNetworks
from trainables.common.errors import UserError
from trainables.common.files import write_text
from trainables.networks.libraries import smp
from trainables.networks.smp_library import difference_to_library, library_model
from trainables.networks.smp_networks import Smp

FOLDER = "smp"
"""Folder of the models in an export."""

MAX_DIFFERENCE = 1e-5
"""Largest difference of a logit, relative to the largest one if that is above 1."""


def write_smp(exported: ExportedNetworks, folder: Path, licence: str, report: Callable[[str], None]) -> None:
    """Write the library's models into `smp/`, or, of several networks, into `smp/0/`, `smp/1/`, ..., in their order.

    Nothing is written where the network is not the library's, or where the library's model would give other logits;
    the second is reported with the reason.

    Args:
        exported: trained networks.
        folder: folder of the export.
        licence: licence of the weights.
        report: receives a line of text.

    Raises:
        UserError: a model gives other logits than its network.
    """
    cell, settings = exported.cell, exported.cell.network
    if not isinstance(settings, Smp):
        return
    reason = difference_to_library(settings, cell.store.image_size)
    if reason is not None:
        report(f"{FOLDER}/: not written, as {reason}")
        return
    side, channels = cell.store.image_size, cell.store.channels
    images = torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))
    largest = 0.0
    for number, (_, network) in enumerate(exported.members):
        place = folder / FOLDER / str(number) if len(exported.members) > 1 else folder / FOLDER
        write_text(place / "README.md", _card(exported, licence))  # `save_pretrained` keeps it, and has one of its own
        library_model(settings, network, channels).save_pretrained(place)
        with contextlib.redirect_stdout(None):  # the library prints that it reads a local folder
            loaded = smp().from_pretrained(str(place)).eval()
        with torch.no_grad():
            expected, found = network(images), loaded(images)
        difference = float((found - expected).abs().max())
        if not difference <= MAX_DIFFERENCE * max(1.0, float(expected.abs().max())):
            raise UserError(f"{FOLDER}/: largest difference of a logit {difference:.2g} (expected {MAX_DIFFERENCE:g})")
        largest = max(largest, difference)
    report(f"{FOLDER}/: largest difference of a logit {largest:.2g}")


def _card(exported: ExportedNetworks, licence: str) -> str:
    given = exported.cell.preprocessing
    front = yaml.safe_dump({"license": licence, "library_name": "segmentation-models-pytorch"}, sort_keys=False)
    return f"""\
---
{front}---

# {exported.title}

    model = segmentation_models_pytorch.from_pretrained("FOLDER").eval()
    logits = model((levels / 255 - mean) / std)

`levels` are images (B, {len(given.channels)}, {given.image_size}, {given.image_size}) of gray levels 0 to 255,
`mean` is {list(given.mean)} and `std` {list(given.std)}.
`preprocessing.json` of the export says how images become these levels. The classes are {", ".join(given.classes)}.
"""
