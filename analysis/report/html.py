"""Report as one self-contained HTML page: images are embedded, nothing is loaded from a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from analysis.charts.html import chart_html
from analysis.figures.style import DPI
from analysis.report.design import Fact
from analysis.report.section import Section
from analysis.templates import render

MEDIA_TYPES = {".png": "image/png", ".gif": "image/gif"}

LARGE_IMAGE = 200_000
"""Bytes from which on an image is stored in the page with a palette; its file keeps all colours."""

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
class FirstScreen:
    """Text at the top of the page.

    Attributes:
        title: heading of the page, the study's title.
        state: sentence on the progress of the study.
        answer: sentences that answer the study's question.
        facts: data and design of the study.
        remarks: notes, warnings and failures, in a box that opens.
    """

    title: str
    state: str = ""
    answer: Sequence[str] = ()
    facts: Sequence[Fact] = ()
    remarks: Sequence[str] = ()


def render_page(first: FirstScreen, sections: Sequence[Section], images: Mapping[str, Path]) -> str:
    """Return the page's HTML.

    Args:
        first: text above all sections.
        sections: parts of the report, in order.
        images: file of each figure, by the figure's name.
    """
    captions = {name: section.caption(name) for section in sections for name in section.figures}
    embedded = {name: _embed(captions[name], path) for name, path in images.items()}
    charts = {name: chart_html(chart) for section in sections for name, chart in section.charts.items()}
    return render("report.html.j2", first=first, sections=sections, images=embedded, charts=charts)


def _embed(caption: str, path: Path) -> EmbeddedImage:
    content = path.read_bytes() if path.suffix != ".png" else compact_png(path.read_bytes())
    data = base64.b64encode(content).decode()
    width = _width(content) if path.suffix == ".png" else None
    return EmbeddedImage(caption, f"data:{MEDIA_TYPES[path.suffix]};base64,{data}", width)


def compact_png(png: bytes) -> bytes:
    """Return a large PNG with a palette of 256 colours where that is smaller; a small one stays as it is."""
    if len(png) <= LARGE_IMAGE:
        return png
    small = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").quantize(256).save(small, format="PNG", optimize=True)
    return min(small.getvalue(), png, key=len)


def _width(png: bytes) -> int:
    """Return a figure's width on the page in pixels, from the width in the PNG's header."""
    return int.from_bytes(png[16:20], "big") * PIXELS_PER_INCH // DPI
