"""Meaning of a folder's masks: label numbers, colors, or a file for each structure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainables.common.errors import DataError
from trainables.data.proposal.file_names import split_words
from trainables.data.proposal.legend_file import LegendFile
from trainables.data.proposal.mask_content import MOST_LABELS, MaskContent
from trainables.data.proposal.pairing import PairedImage
from trainables.data.readers.legend import RGB, hex_color

_ONLY = "foreground"
_BLACK: RGB = (0, 0, 0)
_BINARY = frozenset({1, 255})
_RATERS = frozenset(("rater", "reader", "observer", "annotator", "expert", "grader"))


@dataclass(frozen=True)
class LabelClass:
    """A row of `classes.csv`.

    Attributes:
        value: label number.
        name: the structure's name.
        color: color of its pixels as `#rrggbb`, or "".
    """

    value: int
    name: str
    color: str = ""


@dataclass(frozen=True)
class Labelling:
    """Meaning of the masks of a folder.

    Attributes:
        encoding: the masks' encoding in words; "" without masks.
        classes: rows of `classes.csv`, the background's included; empty without masks.
        structures: names of the structures that have a file of their own, in the order of their columns; empty where
            masks hold label numbers or colors.
        notes: assumptions that a user should know, each a sentence.
    """

    encoding: str = ""
    classes: tuple[LabelClass, ...] = ()
    structures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def propose_labelling(
    images: Sequence[PairedImage], contents: Mapping[str, MaskContent], legend: LegendFile
) -> Labelling:
    """Propose the meaning of the masks.

    Args:
        images: the images with their masks.
        contents: contents of each readable mask file by its path.
        legend: names that the folder's own files give.

    Raises:
        DataError: masks hold both colors and numbers, too many of either, or several files of one image that are not a
            structure each.
    """
    if not contents:
        return Labelling()
    structures = list(dict.fromkeys(mask.structure for image in images for mask in image.masks))
    raters = [name for name in structures if _RATERS & {*split_words(name)}]
    if len(raters) > 1:
        raise DataError(f"masks of several raters (found {', '.join(raters[:6])}). Fix: keep those of one")
    numbers = frozenset[int]().union(*(content.numbers for content in contents.values()))
    colored = [file for file, content in contents.items() if content.colors]
    if len(structures) > 1:
        return _by_file(images, contents, structures)
    if colored:
        plain = next((file for file, content in contents.items() if content.numbers and not content.colors), None)
        if plain is not None:
            raise DataError(f"masks of two encodings: {colored[0]} has colors, {plain} label numbers (expected one)")
        return _by_color(contents, legend)
    if len(numbers) > MOST_LABELS:
        file = max(contents, key=lambda each: len(contents[each].numbers))
        fix = "Fix: save one number for each structure, not for each object, and without smoothing"
        found = f"found {len(numbers)} in all masks, most in {file}, expected at most {MOST_LABELS}"
        raise DataError(f"too many label numbers ({found}). {fix}")
    (only,) = structures
    binary = all(len(content.numbers) <= 1 for content in contents.values())
    if binary and numbers == _BINARY:
        name = only or _ONLY
        return Labelling("0 and 1, or 0 and 255", _classes_of((name,)), (name,))
    shown = ", ".join(map(str, sorted(numbers)[:8])) + (", ..." if len(numbers) > 8 else "")
    known = legend.names if numbers <= legend.names.keys() else {}
    named = {number: known.get(number, "") for number in sorted({*numbers, *known} - {0})}
    if len(named) == 1:
        named = {number: name or only or _ONLY for number, name in named.items()}
    classes = [LabelClass(0, "background"), *(LabelClass(n, name or f"label_{n}") for n, name in named.items())]
    notes = [] if all(named.values()) else [_unnamed("label numbers")]
    if legend.file and not notes and len(named) > 1:
        notes = [f"names of the label numbers are those of {legend.file}"]
    return Labelling(f"label numbers 0, {shown}" if numbers else "background only", tuple(classes), (), tuple(notes))


def _by_file(
    images: Sequence[PairedImage], contents: Mapping[str, MaskContent], structures: Sequence[str]
) -> Labelling:
    """Return the labelling of images with a file for each structure."""
    for image in images:
        for mask in image.masks:
            content = contents.get(mask.file.path)
            if content is not None and (len(content.numbers) > 1 or content.colors):
                listed = ", ".join(f"'{name}'" if name else "none" for name in structures[:6])
                raise DataError(
                    f"{mask.file.path}: several label numbers or colors, but the names of the masks tell structures "
                    f"apart (found {listed}). Fix: keep one mask file an image, or one structure a file"
                )
    names = tuple(sorted(name or _ONLY for name in structures))
    return Labelling("a file for each structure", _classes_of(names), names)


def _by_color(contents: Mapping[str, MaskContent], legend: LegendFile) -> Labelling:
    """Return the labelling of masks whose colors mark the structures; black, or the commonest color, is background."""
    pixels = Counter[RGB]()
    for content in contents.values():
        pixels.update(content.colors)
    if len(pixels) > MOST_LABELS:
        raise DataError(f"{len(pixels)} different colors in all masks, expected at most {MOST_LABELS}")
    known = next((color for color, name in legend.colors.items() if name == "background"), None)
    background = known or (_BLACK if _BLACK in pixels else pixels.most_common(1)[0][0])
    pixels.pop(background, None)
    others = sorted(pixels, key=lambda color: (-pixels[color], color))
    rows = [
        LabelClass(number, legend.colors.get(color) or f"label_{number}", hex_color(color))
        for number, color in enumerate(others, 1)
    ]
    notes = [] if all(color in legend.colors for color in others) else [_unnamed("colors")]
    if background != _BLACK and known is None:
        notes.append(f"{hex_color(background)}, the commonest color, is taken for the background")
    return Labelling("colors", (LabelClass(0, "background", hex_color(background)), *rows), (), tuple(notes))


def _unnamed(what: str) -> str:
    return f"names of the {what} are not known. Fix: name them in classes.csv"


def _classes_of(names: Sequence[str]) -> tuple[LabelClass, ...]:
    return (LabelClass(0, "background"), *(LabelClass(number, name) for number, name in enumerate(names, 1)))
