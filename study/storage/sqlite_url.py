"""Addresses of SQLite files, as SQLAlchemy reads them: "?" begins options there, and "%" an escape."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

SQLITE = "sqlite:///"
"""Beginning of the address of a file."""


def sqlite_url(path: Path) -> str:
    """Return the address of a file, whose path is made absolute.

    Example:
        >>> sqlite_url(Path("/results/a?b.db"))
        'sqlite:////results/a%3Fb.db'
    """
    return f"{SQLITE}{str(path.absolute()).replace('%', '%25').replace('?', '%3F')}"


def sqlite_path(url: str) -> Path:
    """Return the file of an address.

    Args:
        url: address that begins with `SQLITE`.
    """
    return Path(unquote(url.removeprefix(SQLITE)))
