"""Columns of `manifest.csv` and `classes.csv`: names match without case, and a column that nobody reads is an error."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from trainables.common.errors import DataError, did_you_mean

MASK_OF = "mask:"
"""Beginning of the name of a column of masks of one structure: `mask:lv`."""

_PRIVATE = "x_"
_SYNONYMS = {
    **dict.fromkeys(("subset", "set", "partition", "fold"), "split"),
    **dict.fromkeys(("label", "labels", "seg", "segmentation", "gt", "ground_truth"), "mask"),
    **dict.fromkeys(("patient", "patient_id", "subject_id", "case", "id"), "subject"),
    **dict.fromkeys(("file", "filename", "path", "img", "image_path"), "image"),
    **dict.fromkeys(("colour", "rgb"), "color"),
    "col_mm": "column_mm",
}


def match_columns(
    path: Path, header: Sequence[str], known: Sequence[str], required: Collection[str], ignore: Collection[str]
) -> Mapping[str, int]:
    """Return the place of each column that is read.

    Args:
        path: the CSV file, for the message.
        header: cells of its first row.
        known: names of the columns that can be read, in lower case; a name that ends with ":" stands for every name
            that begins with it.
        required: those of `known` that must be there.
        ignore: names of further columns that may be there, in any case.

    Returns:
        The place in `header` by the column's name: in lower case, what follows a colon as it is written.

    Raises:
        DataError: a column is unknown, doubled or missing. Columns without a name, columns that begin with `x_` and
            those in `ignore` may be there any number of times.
    """
    skipped = {name.casefold() for name in ignore}
    places: dict[str, int] = {}
    for place, cell in enumerate(header):
        name = cell.casefold()
        if not name or name.startswith(_PRIVATE) or name in skipped:
            continue
        start, colon, rest = cell.partition(":")
        found = f"{start.strip().casefold()}:{rest.strip()}" if colon else name
        if not (found in known or (colon and rest.strip() and found.removesuffix(rest.strip()) in known)):
            fix = f"Fix: rename it, begin its name with '{_PRIVATE}', or name it in the layout's `ignore`"
            raise DataError(f"{path}, row 1: unknown column '{cell[:80]}'{_nearest(name, known)} {fix}")
        twin = next((other for other in places if other.casefold() == found.casefold()), None)
        if twin is not None:
            first = header[places[twin]]
            raise DataError(f"{path}, row 1: two columns '{first[:80]}' and '{cell[:80]}', expected one of each name")
        places[found] = place
    for name in required:
        if name not in places:
            raise DataError(f"{path}, row 1: no column '{name}' (found {_names(header)})")
    return places


def _nearest(name: str, known: Sequence[str]) -> str:
    """Return what follows the name of an unknown column: the one it stands for, or the nearest by its letters."""
    meant = _SYNONYMS.get(name)
    text = f"; did you mean '{meant}'?" if meant in known else did_you_mean(name, known)
    return text if text.endswith("?") else f"{text}."


def _names(header: Sequence[str], limit: int = 12) -> str:
    text = ", ".join(f"'{cell[:40]}'" for cell in header[:limit]) or "an empty row"
    return text + (", ..." if len(header) > limit else "")
