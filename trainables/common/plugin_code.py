"""Code of plug-ins: the hash of the source files that a component comes from, which is a part of its digests."""

from __future__ import annotations

_hashes: dict[str, str] = {}
"""SHA-256 of each plug-in's source files by the name of its package or module."""


def record_code(package: str, sha256: str) -> None:
    """Record the hash of the source files of a plug-in's package or module, in hexadecimal."""
    _hashes[package] = sha256


def recorded_code() -> dict[str, str]:
    """Return the hash of each plug-in in this process by the name of its package or module."""
    return dict(_hashes)


def plugin_of(cls: type) -> str | None:
    """Return the package or module of the plug-in that a class comes from; None for a class of this program.

    Example:
        >>> plugin_of(dict) is None
        True
    """
    name = cls.__module__
    while name and name not in _hashes:
        name = name.rpartition(".")[0]
    return name or None


def code_of(cls: type) -> str | None:
    """Return the hash of the plug-in that a class comes from; None for a class of this program."""
    plugin = plugin_of(cls) if _hashes else None
    return None if plugin is None else _hashes[plugin]
