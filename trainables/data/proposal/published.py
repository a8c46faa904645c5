"""Published layouts that a folder already has, for which it needs no manifest."""

from __future__ import annotations

from pathlib import Path

from trainables.common.errors import UserError
from trainables.data.layouts import LAYOUTS
from trainables.data.layouts.manifest import Manifest
from trainables.data.settings import DataSettings
from trainables.data.store.guard import list_dataset


def published_layouts(root: Path) -> list[str]:
    """Return the names of the published layouts as which a folder can be listed, masks included.

    Args:
        root: the folder.
    """
    return [name for name, kind in LAYOUTS.items() if kind is not Manifest and _lists(name, root)]


def _lists(name: str, root: Path) -> bool:
    try:
        listing = list_dataset(DataSettings(layout=LAYOUTS[name]()), root)
    except UserError:
        return False
    return any(record.labelled or record.outlines for record in listing.records)
