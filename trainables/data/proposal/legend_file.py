"""Names of label numbers and colors that a folder's own files give: nnU-Net's `dataset.json`, or a CSV legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainables.common.errors import DataError
from trainables.data.layouts.decathlon import LIST, read_list
from trainables.data.layouts.manifest_classes import CLASSES_FILE, parse_color, read_classes
from trainables.data.readers.legend import RGB
from trainables.data.readers.tables import parse_count, read_table

_NAME = ("name", "class", "class_name", "label_name", "structure")
_VALUE = ("value", "id", "index", "label", "label_id", "class_id")
_COLOR = ("color", "colour", "hex")
_RED_GREEN_BLUE = (("r", "g", "b"), ("red", "green", "blue"))


@dataclass(frozen=True)
class LegendFile:
    """Names that a file gives.

    Attributes:
        file: its name, or "".
        names: name by label number.
        colors: name by color.
        channels: names of the images' channels in nnU-Net's order; empty for other datasets.
    """

    file: str = ""
    names: Mapping[int, str] = field(default_factory=dict)
    colors: Mapping[RGB, str] = field(default_factory=dict)
    channels: Sequence[str] = ()


def read_legend_file(root: Path) -> LegendFile:
    """Return the names that the first usable file directly in the folder gives: `dataset.json`, or a CSV legend.

    Raises:
        DataError: nnU-Net's `dataset.json` is not JSON, or `classes.csv` is not a list of classes.
    """
    if (root / LIST).is_file() and (root / "imagesTr").is_dir():
        return _nnunet(root / LIST)
    if (root / CLASSES_FILE).is_file():
        classes = read_classes(root)
        names = {0: "background", **classes.names}
        return LegendFile(CLASSES_FILE, names, {color: names[number] for color, number in classes.colors.items()})
    for path in sorted(root.glob("*.csv")):
        found = _table(path)
        if found.names or found.colors:
            return found
    return LegendFile()


def _nnunet(path: Path) -> LegendFile:
    document = read_list(path)
    labels, channels = document.get("labels", {}), document.get("channel_names", document.get("modality", {}))
    names = {}
    for key, value in labels.items() if isinstance(labels, dict) else ():
        number, name = (value, key) if isinstance(value, int) else (parse_count(str(key)), value)
        if isinstance(number, int) and isinstance(name, str):  # regions list several numbers and have no own one
            names[number] = name
    items = (
        channels.items() if isinstance(channels, dict) else enumerate(channels) if isinstance(channels, list) else ()
    )
    ordered = sorted(items, key=lambda item: parse_count(str(item[0])) or 0)
    return LegendFile(LIST, names, {}, tuple(str(name) for _, name in ordered))


def _table(path: Path) -> LegendFile:
    """Return the names of a CSV file with a column of names and columns of numbers or colors; none of any other."""
    try:
        table = read_table(path, (*_NAME, *_VALUE, *_COLOR))
        rows = list(table.rows)
    except DataError:
        return LegendFile()
    header = [cell.casefold() for cell in table.header]

    def column(names: Sequence[str]) -> int | None:
        return next((header.index(name) for name in names if name in header), None)

    name, value, color = column(_NAME), column(_VALUE), column(_COLOR)
    parts = next(([header.index(part) for part in each] for each in _RED_GREEN_BLUE if {*each} <= {*header}), None)
    if name is None:
        return LegendFile()
    names: dict[int, str] = {}
    colors: dict[RGB, str] = {}
    for line, row in rows:
        cells = [*row, *[""] * (len(header) - len(row))]
        number = parse_count(cells[value]) if value is not None else None
        if number is not None and cells[name]:
            names[number] = cells[name]
        shade = parse_color(path, line, cells[color]) if color is not None and cells[color] else None
        if parts is not None:
            red, green, blue = (parse_count(cells[part]) for part in parts)
            shade = (red, green, blue) if red is not None and green is not None and blue is not None else shade
        if shade is not None and cells[name]:
            colors[shade] = cells[name]
    return LegendFile(path.name, names, colors)
