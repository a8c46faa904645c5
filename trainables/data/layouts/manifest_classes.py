"""Reader of `classes.csv`, which names the values and colors of the masks of a user's own data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import ImageColor

from trainables.common.errors import DataError
from trainables.data.layouts.manifest_columns import match_columns
from trainables.data.readers.legend import RGB, Legend
from trainables.data.readers.tables import parse_count, read_table

CLASSES_FILE = "classes.csv"
_REQUIRED = ("value", "name")
_COLUMNS = (*_REQUIRED, "color")
_MOST = 254


@dataclass(frozen=True)
class ManifestClasses:
    """Contents of `classes.csv`.

    Attributes:
        names: name by label number, above 0 and ascending; the classes' indices are its order, from 1.
        colors: label number by color, the background's included.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    colors: Mapping[RGB, int] = field(default_factory=dict)

    @property
    def legend(self) -> Legend:
        """Legend for readers of masks."""
        return Legend(frozenset({0, *self.names}), self.colors)

    @property
    def indices(self) -> Mapping[int, int]:
        """Class index by label number."""
        return {value: index for index, value in enumerate(self.names, 1)}


def read_classes(root: Path, ignore: Collection[str] = ()) -> ManifestClasses:
    """Return the classes of `classes.csv`; none where there is no such file.

    Args:
        root: the dataset's folder.
        ignore: names of columns that may be there and are not read.

    Raises:
        DataError: the file is not a list of values and names, perhaps with colors.
    """
    path = root / CLASSES_FILE
    if not path.is_file():
        return ManifestClasses()
    table = read_table(path, _COLUMNS)
    places = match_columns(path, table.header, _COLUMNS, _REQUIRED, ignore)
    names: dict[int, str] = {}
    colors: dict[RGB, int] = {}
    for line, row in table.rows:
        value, name, color = (
            row[places[column]] if column in places and places[column] < len(row) else "" for column in _COLUMNS
        )
        level = parse_count(value)
        taken = name in names.values() or (name == "background" and level != 0)
        problem = _problem(level, name, level in names, taken)
        if level is None or problem:
            raise DataError(f"{path}, row {line}: '{value},{name}', {problem}")
        names[level] = name
        if color:
            shade = parse_color(path, line, color)
            if colors.setdefault(shade, level) != level:
                raise DataError(f"{path}, row {line}: color '{color}' is that of '{names[colors[shade]]}', too")
    names.pop(0, None)
    if len(names) > _MOST:
        raise DataError(f"{path}: {len(names)} classes, expected at most {_MOST}")
    return ManifestClasses(dict(sorted(names.items())), colors)


def _problem(level: int | None, name: str, repeated: bool, taken: bool) -> str:
    """Return what is wrong with a row's value and name, or ""."""
    if level is None:
        return "expected a whole number from 0 up as the value"
    if not name:
        return "expected a name"
    if repeated:
        return "the value is listed twice, expected once"
    return "the name is that of another value, expected one of its own" if taken else ""


def parse_color(path: Path, line: int, text: str) -> RGB:
    """Return the color that a cell gives as `#rrggbb` or as the name of an HTML color.

    Raises:
        DataError: it is neither.
    """
    try:
        red, green, blue, *_ = ImageColor.getrgb(text)
    except ValueError:
        expected = "#rrggbb or the name of an HTML color"
        raise DataError(f"{path}, row {line}: color '{text[:40]}', expected {expected}") from None
    return red, green, blue
