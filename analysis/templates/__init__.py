"""HTML templates of reports, rendered by jinja2 with every value escaped."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """Return a template of this package filled with values.

    Args:
        template: file name in this folder, such as "report.html.j2".
        values: variables of the template; text in them is escaped.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__name__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["anchor"] = anchor
    return environment


def anchor(title: str) -> str:
    """Return a heading's id: lower-case words joined by hyphens.

    Example:
        >>> anchor("How few labels?")
        'how-few-labels'
    """
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
