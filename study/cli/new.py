"""`study new`: skeletons of plug-ins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from study.cli.app import app, out

new = typer.Typer(rich_markup_mode=None, help="Write the skeleton of a plug-in.", no_args_is_help=True)
app.add_typer(new, name="new")


@new.command()
def method(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the method in study files, such as my_method.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder to write to.")] = Path(),
) -> None:
    """Write a pretext method of your own, which works as it is, and a test of it."""
    from study.plugins.skeleton import write_method

    for path in write_method(name, folder):
        out.print(str(path), highlight=False, soft_wrap=True)
    out.print(f"in a study file: plugins: [./{name}.py], pretext.method: {name}", markup=False, highlight=False)
