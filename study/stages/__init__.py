"""The stages of a study: one class a file, by name in the registry `STAGES`.

A plug-in adds a stage with `STAGES.add(NAME, STAGE)`. Its settings then have a section `stages.NAME` in study files.
"""

from __future__ import annotations

from study.stages.downstream import DownstreamStage
from study.stages.pretext import PretextStage
from study.stages.propagation import PropagationStage
from study.stages.registration import RegistrationStage
from study.stages.registry import StageRegistry
from study.stages.strength import StrengthStage

DOWNSTREAM = DownstreamStage()
"""The last stage of every study: its jobs are the trials and replicates."""

STAGES = StageRegistry([StrengthStage(), PretextStage(), RegistrationStage(), PropagationStage(), DOWNSTREAM])
"""All stages by name, in the order in which they pass on their outputs; the downstream stage reads last."""
