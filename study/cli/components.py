"""`study components`: what a study file can name, with its settings and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli.app import Json, app, out
from trainables.common.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from study.plugins.catalogue import Component


@app.command()
def components(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A kind of component or a component, for its settings.")
    ] = None,
    plugins: Annotated[
        list[Path] | None, typer.Option("--plugin", help="Plug-in to load first: a Python file or folder. Repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List methods, networks, layouts and all else that a study file can name.

    With NAME, print the settings. Installed plug-ins are listed, too.
    """
    from study.plugins.catalogue import components as catalogue
    from study.plugins.loading import load_installed, load_sources
    from study.plugins.source import read_source
    from study.storage.node_cache import node_cache

    load_installed()
    load_sources([read_source(path) for path in plugins or ()], node_cache)
    found = catalogue()
    chosen = [each for each in found if name in (None, each.kind, each.name)]
    if not chosen:
        known = {each.kind for each in found} | {each.name for each in found}
        raise UserError(f"no component '{name}'{did_you_mean(name or '', sorted(known))}")
    if as_json:
        out.print(
            json.dumps([asdict(each) for each in chosen], indent=2), markup=False, highlight=False, soft_wrap=True
        )
    elif name is None:
        _print_names(chosen)
    else:
        for each in chosen:
            _print_settings(each)


def _print_names(chosen: Sequence[Component]) -> None:
    from study.plugins.catalogue import BUILT_IN

    for kind in dict.fromkeys(each.kind for each in chosen):
        out.print(kind, markup=False, highlight=False)
        for each in chosen:
            if each.kind == kind:
                source = "" if each.source == BUILT_IN else f"  [{each.source}]"
                out.print(f"  {each.name:<18} {each.summary}{source}", markup=False, highlight=False)


def _print_settings(component: Component) -> None:
    out.print(f"{component.kind} {component.name} ({component.source})", markup=False, highlight=False)
    out.print(f"  {component.summary}", markup=False, highlight=False)
    for setting in component.settings:
        default = json.dumps(setting.default) if not isinstance(setting.default, str) else setting.default
        line = f"  {setting.name}: {setting.type} = {default}"
        out.print(line, markup=False, highlight=False, soft_wrap=True)
        if setting.text:
            out.print(f"      {setting.text}", markup=False, highlight=False)
