"""The components of this folder do what every component of their kind must do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import make_data
from my_components.backbone import PlainStack
from my_components.layout import NpzFolder
from my_components.method import Rotation
from my_components.network import FCN

from trainables.testing import BACKBONE_CHECKS, LAYOUT_CHECKS, METHOD_CHECKS, NETWORK_CHECKS

by_name = {"ids": lambda check: check.__name__}


@pytest.mark.parametrize("check", METHOD_CHECKS, **by_name)
def test_method(check):
    check(Rotation())


@pytest.mark.parametrize("check", BACKBONE_CHECKS, **by_name)
def test_backbone(check):
    check(PlainStack(width=4))


@pytest.mark.parametrize("check", NETWORK_CHECKS, **by_name)
def test_network(check):
    check(FCN(PlainStack(width=4), width=4))


@pytest.mark.parametrize("check", LAYOUT_CHECKS, **by_name)
def test_layout(check, tmp_path):
    make_data.main(tmp_path, patients=6)
    check(NpzFolder(), tmp_path)
