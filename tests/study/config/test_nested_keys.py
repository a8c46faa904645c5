"""Keys a level too high name the places where they belong; a choice beside numbers is named with them."""

import pytest

from study.config.definition import load_study
from study.config.problems import SpecError


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("downstream.transfer.rank=4", "did you mean downstream.transfer.lora.rank?"),
        ("data.partition=fold3", "did you mean data.layout.partition?"),
        ("pretext.lr=1", "did you mean pretext.fit.optimizer.lr?"),
        ("downstream.p=1", "unknown key; known: "),  # it stands in too many places to say one
        ("data.layuot=camus", "did you mean 'layout'?"),
        ("resources.downstream.gpus=all", "found 'all', expected a number, or auto"),
    ],
)
def test_a_mistaken_setting_names_the_right_one(setting, message):
    with pytest.raises(SpecError, match=f"^--set {setting.partition('=')[0]}: ") as raised:
        load_study("quickstart", profile=None, sets=[setting], data=[], name=None)
    assert message in str(raised.value)
