import dataclasses
import re
from pathlib import Path
from typing import get_args

import pytest

from study.config.definition import load_study
from study.config.problems import SpecError
from study.config.renamed import RENAMED_KEYS, RENAMED_NAMES
from study.config.spec import COMPONENTS

FILE = """\
data: {layout: echonet, phantom: {subjects: 20}}
network: {name: unet, backbone: {name: unet_encoder, width: 8, depth: 3}}
pretext: {method: simclr, fit: {epochs: 2}}
downstream:
  transfer: {load: network}
search:
  trials: 2
  space:
    downstream.fit.optimizer.lr: {loguniform: [1e-4, 1e-2]}
"""


@pytest.fixture
def load(tmp_path):
    """Load FILE with extra text, and return its problems without the folder's name."""

    def problems(text: str = "", sets: tuple[str, ...] = ()) -> list[str]:
        path = tmp_path / "old.yaml"
        path.write_text(FILE + text)
        with pytest.raises(SpecError) as raised:
            load_study(str(path), sets=sets)
        return [str(problem).replace(f"{tmp_path}/", "") for problem in raised.value.problems]

    return problems


@pytest.mark.parametrize("cls", RENAMED_KEYS)
def test_a_renamed_key_leads_to_a_key_that_exists(cls):
    keys = {field.name for field in dataclasses.fields(cls)}
    assert set(RENAMED_KEYS[cls].values()) <= keys
    assert not RENAMED_KEYS[cls].keys() & keys


@pytest.mark.parametrize("kind", RENAMED_NAMES)
def test_a_renamed_name_leads_to_a_name_that_exists(kind):
    names = {name for registry in COMPONENTS.get(kind, ()) for name in registry} or set(get_args(kind))
    assert set(RENAMED_NAMES[kind].values()) <= names
    assert not RENAMED_NAMES[kind].keys() & names


def test_the_documentation_lists_every_renamed_key_and_name():
    text = (Path(__file__).parents[3] / "docs" / "METHODS.md").read_text()
    section = text.partition("## Renamed settings")[2].partition("\n## ")[0]
    names = set(re.findall(r"\w+", section))
    for renamed in (*RENAMED_KEYS.values(), *RENAMED_NAMES.values()):
        assert {*renamed, *renamed.values()} <= names


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("pretext.first={method: simclr}", "pretext.first: was renamed (found first). Fix: use init_from"),
        (
            "pretext.init_from={method: simclr, first: {method: simclr}}",
            "pretext.init_from.first: was renamed (found first). Fix: use init_from",
        ),
        ("resources.most={cpus: 8}", "resources.most: was renamed (found most). Fix: use max"),
        ("data.unreadable=skip", "data.unreadable: was renamed (found unreadable). Fix: use on_error"),
        ("data.layout={name: acdc, every: 2}", "data.layout.every: was renamed (found every). Fix: use frame_step"),
        (
            "pretext.method={name: masked, share: 0.5}",
            "pretext.method.share: was renamed (found share). Fix: use mask_ratio",
        ),
        (
            "pretext.method={name: denoise, share: 0.5}",
            "pretext.method.share: was renamed (found share). Fix: use noise_ratio",
        ),
        ("design.over=[crop]", "design.over: was renamed (found over). Fix: use factors"),
        ("network={name: unet_time, window: 4}", "network.name: was renamed (found unet_time). Fix: use unet3d"),
        ("downstream.targets=ends", "downstream.targets: was renamed (found ends). Fix: use ed_es"),
    ],
)
def test_a_former_key_or_name_on_the_command_line_names_the_current_one(load, setting, problem):
    assert load(sets=(setting,)) == [f"--set {setting.partition('=')[0]}: {problem}"]


def test_a_former_key_in_a_file_is_reported_at_its_line(load):
    assert load("resources:\n  most: {cpus: 8}\n") == [
        "old.yaml:11: resources.most: was renamed (found most). Fix: use max"
    ]


def test_a_former_key_in_a_factor_is_reported_at_the_level(load):
    text = "factors:\n  start:\n    one: {}\n    two: {pretext.first: {method: global_contrastive}}\n"
    assert load(text) == [
        "old.yaml:13 (start=two): pretext.first: was renamed (found first). Fix: use init_from",
    ]


def test_a_former_key_in_the_search_space_is_reported_at_the_range(load):
    (problem,) = load(sets=("search.space.pretext.first.fit.epochs={int: [1, 2]}",))
    assert problem == (
        "--set search.space.pretext.first.fit.epochs: search.space.pretext.first.fit.epochs: "
        "was renamed (found first). Fix: use init_from"
    )


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        (
            "{pretext.first.fit.epochs: 3}",
            "when: no cell has a setting 'pretext.first.fit.epochs'; "
            "pretext.first: was renamed (found first). Fix: use init_from",
        ),
        (
            "{downstream.targets: [ends]}",
            "when: no cell accepts this value; downstream.targets: was renamed (found ends). Fix: use ed_es",
        ),
    ],
)
def test_a_former_key_or_name_in_a_condition_is_reported_at_the_range(load, condition, problem):
    setting = f"search.space.downstream.augment.strength={{uniform: [0, 1], when: {condition}}}"
    (found,) = load(sets=(setting,))
    assert found.endswith(f"search.space.downstream.augment.strength: {problem}")
