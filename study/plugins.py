"""Plug-ins: installed packages that register pretext methods, layouts, stages and other components.

A plug-in is a package with an entry point in the group `pretext_study`, which names a module:

    [project.entry-points.pretext_study]
    my_stage = "my_package.my_stage"

Importing that module must register the components (`STAGES.add("my_stage", MyStage())`). Plug-ins are imported in the
driver and in every worker process, so a cluster needs them installed on every node.
"""

from __future__ import annotations

import functools
from importlib.metadata import entry_points

from trainables.common.errors import UserError

GROUP = "pretext_study"
"""Name of the entry-point group."""


@functools.cache
def load_plugins() -> None:
    """Import every installed plug-in; later calls do nothing.

    Raises:
        UserError: a plug-in cannot be imported.
    """
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:
            raise UserError(
                f"plug-in '{entry.name}' ({entry.value}): import failed ({type(error).__name__}: {error}). "
                "Fix: repair or uninstall its package"
            ) from error
