"""Source files of a plug-in that a study file names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.common.errors import UserError

MAX_FILES = 200
"""Largest number of files of a plug-in."""

MAX_BYTES = 2**20
"""Largest size of a plug-in's files together; they travel with every job."""


@dataclass(frozen=True)
class PluginSource:
    """Name and source files of a plug-in: a module, or a package with its modules.

    Attributes:
        name: name of the module or package.
        files: text of each Python file by its path relative to the folder that holds the plug-in, with slashes.
    """

    name: str
    files: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """Hash of the files' names and contents in hexadecimal."""
        state = hashlib.sha256()
        for path, text in sorted(self.files.items()):
            for part in (path.encode(), text.encode()):
                state.update(len(part).to_bytes(8, "big") + part)
        return state.hexdigest()

    def plain(self) -> dict[str, Any]:
        """Return the plug-in as JSON-able values."""
        return {"name": self.name, "files": dict(self.files)}

    @staticmethod
    def from_plain(values: Mapping[str, Any]) -> PluginSource:
        """Build the plug-in from the values that `plain` returned.

        Raises:
            UserError: a file would lie outside of the plug-in.
        """
        source = PluginSource(str(values["name"]), {str(path): str(text) for path, text in values["files"].items()})
        for path in source.files:
            inside = path == f"{source.name}.py" or path.startswith(f"{source.name}/")
            if not source.name.isidentifier() or not inside or ".." in path.split("/") or "\\" in path:
                raise UserError(f"plug-in '{source.name}': has a file '{path}', expected files of the plug-in only")
        return source


def read_source(path: Path) -> PluginSource:
    """Return the source of a plug-in: a Python file, or a folder with `__init__.py`.

    Raises:
        UserError: there is no such plug-in, its name is no identifier, or it is too large.
    """
    if path.suffix == ".py" and path.is_file():
        files = {path.name: path}
    elif path.is_dir() and (path / "__init__.py").is_file():
        found = sorted(path.rglob("*.py"))
        files = {each.relative_to(path.parent).as_posix(): each for each in found}
    else:
        found_text = "a folder without __init__.py" if path.is_dir() else "no such file"
        raise UserError(f"{path}: found {found_text}, expected a Python file, or a folder with __init__.py")
    if not path.stem.isidentifier():
        raise UserError(f"{path}: found the name '{path.stem}', expected letters, digits and _, as Python imports it")
    size = sum(each.stat().st_size for each in files.values())
    if len(files) > MAX_FILES or size > MAX_BYTES:
        raise UserError(
            f"{path}: found {len(files)} Python files with {size:,} bytes, expected at most {MAX_FILES} files with "
            f"{MAX_BYTES:,} bytes. Fix: install it as a package with an entry point instead"
        )
    try:
        return PluginSource(path.stem, {name: each.read_text(encoding="utf-8") for name, each in files.items()})
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as Python source: {error}") from None
