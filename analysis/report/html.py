"""Report as one self-contained HTML page: images are embedded, nothing is loaded from a network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.figures.style import DPI
from analysis.report.section import Section
from analysis.templates import render

MEDIA_TYPES = {".png": "image/png", ".gif": "image/gif"}

PIXELS_PER_INCH = 110
"""Scale of figures on the page, so that the text in all of them has one size."""


@dataclass(frozen=True)
class EmbeddedImage:
    """Image inside the page.

    Attributes:
        caption: text below the image and its alternative text.
        uri: data URI with the file's content.
        width: displayed width in CSS pixels; None leaves it to the browser.
    """

    caption: str
    uri: str
    width: int | None


@dataclass(frozen=True)
class Opening:
    """First screen of the page.

    Attributes:
        answers: sentences that answer the study's question.
        design: terms and texts of the box of data and design.
        status: sentences on the study's state and remarks.
    """

    answers: Sequence[str]
    design: Sequence[tuple[str, str]]
    status: Sequence[str]


def render_page(title: str, opening: Opening, sections: Sequence[Section], images: Mapping[str, Path]) -> str:
    """Return the page's HTML.

    Args:
        title: heading of the page, the study's title.
        opening: first screen.
        sections: parts of the report, in order.
        images: file of each figure, by the figure's name.
    """
    embedded = {name: _embed(name, path) for name, path in images.items()}
    return render("report.html.j2", title=title, opening=opening, sections=sections, images=embedded)


def _embed(name: str, path: Path) -> EmbeddedImage:
    content = path.read_bytes()
    data = base64.b64encode(content).decode()
    width = _width(content) if path.suffix == ".png" else None
    return EmbeddedImage(name.replace("_", " "), f"data:{MEDIA_TYPES[path.suffix]};base64,{data}", width)


def _width(png: bytes) -> int:
    """Return a figure's width on the page in pixels, from the width in the PNG's header."""
    return int.from_bytes(png[16:20], "big") * PIXELS_PER_INCH // DPI
