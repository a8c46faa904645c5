"""Registry of the stages, in the order in which they pass on their outputs."""

from __future__ import annotations

from collections.abc import Sequence

from study.config.stage_settings import STAGE_SETTINGS
from study.stages.stage import SharedStage, Stage
from trainables.common.registry import Registry


class StageRegistry(Registry[Stage]):
    """Stages by name; adding one also makes its settings known to study files.

    Args:
        stages: the stages that ship with the package.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        super().__init__("stage", {stage.name: stage for stage in stages})

    def add(self, name: str, entry: Stage) -> None:
        """Register a stage after those that are registered.

        Raises:
            ValueError: the name is taken, or differs from the stage's.
        """
        if name != entry.name:
            raise ValueError(f"stage '{entry.name}' is registered as '{name}', expected its name")
        super().add(name, entry)
        if entry.settings is not None:
            STAGE_SETTINGS.add(name, entry.settings)

    def remove(self, name: str) -> None:
        """Remove a stage and its settings."""
        super().remove(name)
        if name in STAGE_SETTINGS:
            STAGE_SETTINGS.remove(name)

    @property
    def shared(self) -> list[SharedStage]:
        """The stages whose jobs cells share, in order."""
        return [stage for stage in self.values() if isinstance(stage, SharedStage)]
