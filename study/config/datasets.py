"""Dataset paths from the command line: `--data LAYOUT=PATH`."""

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
    """Return the document with dataset paths set, and the layouts of datasets that were replaced.

    A path applies to the study's datasets of that layout. If there is none, and the study has a single dataset, that
    dataset changes its layout. A path replaces a phantom.

    Args:
        document: study file to change.
        options: "LAYOUT=PATH" each; a relative path starts from the current folder.

    Raises:
        SpecError: an option has another form, or the study has no dataset of that layout.
    """
    replaced: list[str] = []
    for option in options:
        layout, path = _split(option)
        location = f"--data {layout}"
        for section in _matching_sections(document, layout):
            if _layout(document, section) != layout or _has_phantom(document, section):
                replaced.append(layout)
                document = document.with_value(f"{section}.layout", layout, location)
                document = document.with_value(f"{section}.phantom", None, location)
            document = document.with_value(f"{section}.path", str(Path(path).expanduser().absolute()), location)
    return document, list(dict.fromkeys(replaced))


def named_dataset(option: str, sets: Sequence[str] = ()) -> DataSettings:
    """Return the settings of a dataset that belongs to no study.

    Args:
        option: layout and folder, as "LAYOUT=PATH".
        sets: "dotted.path=value" each, settings of the dataset ("image_size=64", "layout.partition=fold3").

    Raises:
        SpecError: with every problem of the option and the settings.
    """
    layout, path = _split(option)
    values = {"layout": {"name": layout}, "path": str(Path(path).expanduser().absolute())}
    document = with_sets(Document(values, {}), sets)
    return parse(DataSettings, document.values, locate=document.locate)


def _split(option: str) -> tuple[str, str]:
    layout, _, path = option.partition("=")
    if not path or not layout:
        raise _error(f"found '{option}', expected LAYOUT=PATH")
    if layout not in LAYOUTS:
        raise _error(f"unknown dataset layout '{layout}'{did_you_mean(layout, LAYOUTS)}")
    return layout, path


def _matching_sections(document: Document, layout: str) -> list[str]:
    others = ("pretext_data", "registration_data")
    sections = ["data", *(name for name in others if isinstance(document.values.get(name), Mapping))]
    matching = [section for section in sections if _layout(document, section) == layout]
    if matching or len(sections) == 1:
        return matching or sections
    layouts = " and ".join(f"{section} is {_layout(document, section)}" for section in sections)
    raise _error(f"the study has no dataset with the layout '{layout}': {layouts}")


def _layout(document: Document, section: str) -> object:
    """Return the layout's name, which is written as `layout: NAME` or as `layout: {name: NAME, ...}`."""
    layout = _settings(document, section).get("layout", layout_name(DataSettings().layout))
    return layout.get("name") if isinstance(layout, Mapping) else layout


def _has_phantom(document: Document, section: str) -> bool:
    return _settings(document, section).get("phantom") is not None


def _settings(document: Document, section: str) -> Mapping[str, object]:
    settings = document.values.get(section)
    return settings if isinstance(settings, Mapping) else {}


def _error(message: str) -> SpecError:
    return SpecError([Problem((), message, "--data")])
