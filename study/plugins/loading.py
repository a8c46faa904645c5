"""Import of plug-ins into this process; their components are registered by that."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from study.plugins.source import PluginSource
from trainables.common.errors import UserError
from trainables.common.plugin_code import record_code, recorded_code
from trainables.common.registry import Registry

GROUP = "pretext_study.components"
"""Name of the entry-point group."""

NAMESPACE = "study_plugins"
"""Package as whose modules the plug-ins of study files are imported, so that they hide no other module."""


@functools.cache
def load_installed() -> None:
    """Import every installed plug-in; later calls do nothing.

    Raises:
        UserError: a plug-in cannot be imported.
    """
    for entry in entry_points(group=GROUP):
        package = entry.module.partition(".")[0]
        with _import_errors(f"plug-in '{entry.name}' ({entry.value})", "repair or uninstall its package"):
            record_code(package, _package_hash(package))
            entry.load()


def load_sources(sources: Iterable[PluginSource], cache: Callable[[], Path]) -> None:
    """Import plug-ins from their source; one that has been imported before is not imported again.

    Args:
        sources: the plug-ins.
        cache: function that returns a folder which only this user can write; files are unpacked below it, where
            decoding processes, which import the plug-in themselves, find them too.

    Raises:
        UserError: a plug-in cannot be imported, or this process has imported other code under its name.
    """
    for source in sources:
        module = f"{NAMESPACE}.{source.name}"
        known = recorded_code().get(module)
        if known == source.sha256:
            continue
        if known is not None:
            raise UserError(
                f"plug-in '{source.name}': this process has loaded other code under this name (found "
                f"{source.sha256[:12]}, expected {known[:12]}). Fix: start a new process, or rename one of the two"
            )
        folder = _unpacked(source, cache() / "plugins")
        with _import_errors(f"plug-in '{source.name}'", "mend the file"), _all_or_nothing(folder):
            importlib.invalidate_caches()
            importlib.import_module(module)
        record_code(module, source.sha256)


def registries() -> list[Registry[Any]]:
    """Return every registry that a plug-in can add to."""
    from study.config.spec import COMPONENTS
    from study.stages import STAGES
    from trainables.downstream.trainers import TRAINERS
    from trainables.phantom import PHANTOMS

    named = [registry for group in COMPONENTS.values() for registry in group]
    return list({id(registry): registry for registry in (*named, STAGES, TRAINERS, PHANTOMS)}.values())


@contextlib.contextmanager
def _all_or_nothing(folder: Path) -> Iterator[None]:
    """Import from a folder too; if that fails, forget it and what was registered, so that it can be mended."""
    sys.path.append(str(folder))
    held = [(registry, set(registry)) for registry in registries()]
    try:
        yield
    except BaseException:
        sys.path.remove(str(folder))
        for registry, before in held:
            for name in set(registry) - before:
                registry.remove(name)
        raise


@contextlib.contextmanager
def _import_errors(plugin: str, fix: str) -> Iterator[None]:
    """Turn an error of an import into one that names the plug-in, and where in it the error is."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{plugin}: import failed{_place(error)} ({type(error).__name__}: {error}). Fix: {fix}"
        ) from error


def _place(error: BaseException) -> str:
    """Return file and line of a study file's plug-in at which its import failed, such as ", mine/loss.py, line 3"."""
    frames = [(each.filename, each.lineno) for each in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        frames.append((error.filename or "", error.lineno))
    inside = f"{os.sep}{NAMESPACE}{os.sep}"
    found = next(((file.partition(inside)[2], line) for file, line in reversed(frames) if inside in file), None)
    return f", {found[0]}, line {found[1]}" if found else ""


def _unpacked(source: PluginSource, cache: Path) -> Path:
    """Return a folder with the plug-in's files in the package `NAMESPACE`; unpack them unless they are there."""
    folder = cache / source.sha256[:16]
    wanted = {folder / NAMESPACE / path: text for path, text in source.files.items()}
    if all(path.is_file() and path.read_text(encoding="utf-8") == text for path, text in wanted.items()):
        return folder
    part = cache / f".{source.sha256[:16]}.{os.getpid()}"
    for path, text in source.files.items():
        target = part / NAMESPACE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    try:
        part.rename(folder)
    except OSError:  # another process was faster, or the files there are damaged
        shutil.copytree(part, folder, dirs_exist_ok=True)
        shutil.rmtree(part)
    return folder


def _package_hash(package: str) -> str:
    """Return the hash of the Python files of an installed package or module."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"no module named '{package}'")
    roots = [Path(place) for place in spec.submodule_search_locations or ()]
    files = [path for root in roots for path in root.rglob("*.py")] or [Path(spec.origin or "")]
    state = hashlib.sha256()
    for path in sorted(files):
        if path.is_file():
            state.update(hashlib.sha256(path.name.encode() + path.read_bytes()).digest())
    return state.hexdigest()
