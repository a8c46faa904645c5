"""Settings of the stages that plug-ins add, in the section `stages` of a study file."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.common.registry import Registry


@dataclass(frozen=True)
class StageSettings:
    """Base class for the settings of a stage that a plug-in adds.

    In a study file they are `stages: {NAME: {...}}`, where NAME is the stage's registered name.
    """

    named_by_key = True


STAGE_SETTINGS: Registry[type[StageSettings]] = Registry("stage", {})
"""Settings class of each added stage; `study.stages.STAGES.add` fills it."""
