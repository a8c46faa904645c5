"""A backbone of random weights that nothing trains is remarked."""

from study.config.definition import load_study
from study.config.transfer_remarks import untrained_backbones


def remarks(*sets):
    return untrained_backbones(load_study("quickstart", profile=None, sets=list(sets), data=[], name=None))


def test_only_random_backbones_that_stay_are_remarked():
    assert remarks() == []
    (text,) = remarks("downstream.transfer.train=lora")
    assert text.startswith("downstream.transfer.train is lora in 2 cells whose backbone starts from random weights")
    only = "factors.method={simclr: {pretext.method: simclr}}"
    assert remarks("downstream.transfer.train=lora", only) == []
