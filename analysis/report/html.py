"""A report as one HTML page that holds its pictures and needs no network."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.figures.style import DPI
from analysis.report.section import Section

KINDS = {".png": "image/png", ".gif": "image/gif"}

PIXELS_PER_INCH = 110

STYLE = Path(__file__).with_name("page.css")


def page(title: str, state: Sequence[str], sections: Sequence[Section], pictures: Mapping[str, Path]) -> str:
    """The page's text.

    Args:
        title: of the study.
        state: what is said above all sections.
        sections: in order.
        pictures: the files of the sections' figures, by name.
    """
    links = "".join(f'<a href="#{_anchor(s.title)}">{html.escape(s.title)}</a>' for s in sections)
    said = "".join(f'<p class="state">{html.escape(line)}</p>' for line in state)
    body = "".join(_section(section, pictures) for section in sections)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f'<link rel="icon" href="data:,"><title>{html.escape(title)}</title><style>{STYLE.read_text()}</style>'
    main = f"<h1>{html.escape(title)}</h1>{said}<nav>{links}</nav>{body}"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{main}</body></html>\n'


def _section(section: Section, pictures: Mapping[str, Path]) -> str:
    sentences = "".join(f"<li>{html.escape(line)}</li>" for line in section.sentences)
    parts = [f'<section><h2 id="{_anchor(section.title)}">{html.escape(section.title)}</h2>']
    parts += [f"<ul>{sentences}</ul>"] if sentences else []
    parts += [table.to_html() for table in section.tables.values()]
    parts += [_figure(name, pictures[name]) for name in section.figures]
    return "".join([*parts, "</section>\n"])


def _figure(name: str, path: Path) -> str:
    content = path.read_bytes()
    data = base64.b64encode(content).decode()
    words = html.escape(name.replace("_", " "))
    size = f' width="{_width(content)}"' if path.suffix == ".png" else ""
    picture = f'<img alt="{words}"{size} src="data:{KINDS[path.suffix]};base64,{data}">'
    return f"<figure>{picture}<figcaption>{words}</figcaption></figure>\n"


def _width(png: bytes) -> int:
    """Of a figure on the page, in pixels, so that all figures' letters are as large; its own is in the PNG's header."""
    return int.from_bytes(png[16:20], "big") * PIXELS_PER_INCH // DPI


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
