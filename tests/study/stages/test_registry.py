"""The registry of stages."""

import pytest

from study.stages import DOWNSTREAM, STAGES
from study.stages.pretext import PretextStage
from study.stages.registry import StageRegistry
from trainables.common.errors import UserError


def test_shared_stages_are_in_the_order_in_which_they_pass_on_outputs():
    assert [stage.name for stage in STAGES.shared] == ["strength", "pretext", "registration", "propagation"]
    assert STAGES["downstream"] is DOWNSTREAM


def test_a_stage_is_added_once_and_under_its_name():
    registry = StageRegistry([DOWNSTREAM])
    with pytest.raises(ValueError, match="stage 'pretext' is registered as 'pretest', expected its name"):
        registry.add("pretest", PretextStage())
    registry.add("pretext", PretextStage())
    with pytest.raises(ValueError, match="already registered"):
        registry.add("pretext", PretextStage())


def test_an_unknown_stage_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match=r"unknown stage 'pretxt'.*did you mean 'pretext'"):
        STAGES["pretxt"]
