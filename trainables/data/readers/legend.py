"""Legend of masks: the label numbers that may occur, and their colors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RGB = tuple[int, int, int]


def hex_color(color: RGB) -> str:
    """Return a color as `#rrggbb`.

    Example:
        >>> hex_color((255, 0, 16))
        '#ff0010'
    """
    return "#{:02x}{:02x}{:02x}".format(*color)


@dataclass(frozen=True)
class Legend:
    """Label numbers of a dataset's masks.

    Attributes:
        values: label numbers that may occur; 0, the background, always may. Empty where they are unknown.
        colors: label number by color (red, green, blue), each in 0..255.
    """

    values: frozenset[int] = frozenset()
    colors: Mapping[RGB, int] = field(default_factory=dict)
