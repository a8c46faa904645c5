"""`--data LAYOUT=PATH`: which of a study's datasets it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from study.config.documents import Document, with_sets
from study.config.problems import Problem, SpecError
from study.config.settings import parse
from trainables.common.errors import did_you_mean
from trainables.data.layouts import LAYOUTS, layout_name
from trainables.data.settings import DataSettings


def with_data(document: Document, options: Sequence[str]) -> tuple[Document, list[str]]:
    """The document with the datasets' paths set.

    A path is for the study's datasets of that layout. When it has none, and only one dataset, that one becomes a
    dataset of that layout. Where a phantom stood, the real data takes its place.

    Args:
        document: a study file.
        options: "LAYOUT=PATH" each; a relative path is one from the current folder.

    Returns:
        The document, and the layouts of datasets that are other data than the file says.

    Raises:
        SpecError: an option is not of that form, or the study has no dataset it could mean.
    """
    changed: list[str] = []
    for option in options:
        layout, path = _split(option)
        where = f"--data {layout}"
        for part in _meant(document, layout):
            if _layout(document, part) != layout or _phantom(document, part):
                changed.append(layout)
                document = document.set(f"{part}.layout", layout, where).set(f"{part}.phantom", None, where)
            document = document.set(f"{part}.path", str(Path(path).expanduser().absolute()), where)
    return document, list(dict.fromkeys(changed))


def named_dataset(option: str, sets: Sequence[str] = ()) -> DataSettings:
    """The settings of a dataset that is named outside any study.

    Args:
        option: "LAYOUT=PATH".
        sets: "dotted.path=value" each, settings of the dataset ("image_size=64", "layout.partition=fold3").

    Raises:
        SpecError: with everything that is wrong.
    """
    layout, path = _split(option)
    start = Document({"layout": {"name": layout}, "path": str(Path(path).expanduser().absolute())}, {})
    document = with_sets(start, sets)
    return parse(DataSettings, document.values, where=document.where)


def _split(option: str) -> tuple[str, str]:
    layout, _, path = option.partition("=")
    if not path or not layout:
        raise _refused(f"found '{option}', expected LAYOUT=PATH")
    if layout not in LAYOUTS:
        raise _refused(f"unknown dataset layout '{layout}'{did_you_mean(layout, LAYOUTS)}")
    return layout, path


def _meant(document: Document, layout: str) -> list[str]:
    parts = ["data"] + ["pretext_data"] * isinstance(document.values.get("pretext_data"), Mapping)
    same = [part for part in parts if _layout(document, part) == layout]
    if same or len(parts) == 1:
        return same or parts
    there = " and ".join(f"{part} is {_layout(document, part)}" for part in parts)
    raise _refused(f"the study has no dataset with the layout '{layout}': {there}")


def _layout(document: Document, part: str) -> object:
    """The layout's name, which may stand alone or among the layout's settings."""
    layout = _settings(document, part).get("layout", layout_name(DataSettings().layout))
    return layout.get("name") if isinstance(layout, Mapping) else layout


def _phantom(document: Document, part: str) -> bool:
    return _settings(document, part).get("phantom") is not None


def _settings(document: Document, part: str) -> Mapping[str, object]:
    settings = document.values.get(part)
    return settings if isinstance(settings, Mapping) else {}


def _refused(message: str) -> SpecError:
    return SpecError([Problem((), message, "--data")])
