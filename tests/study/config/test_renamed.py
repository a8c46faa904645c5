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

    def problems(text: str = "", sets: tuple[str, ...] = (), profile: str | None = None) -> list[str]:
        path = tmp_path / "old.yaml"
        path.write_text(FILE + text)
        with pytest.raises(SpecError) as raised:
            load_study(str(path), sets=sets, profile=profile)
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
        ("pretext.first={method: simclr}", "pretext.first: the key was renamed (found first). Fix: use init_from"),
        (
            "pretext.init_from={method: simclr, first: {method: simclr}}",
            "pretext.init_from: pretext.init_from.first: the key was renamed (found first). Fix: use init_from",
        ),
        ("resources.most={cpus: 8}", "resources.most: the key was renamed (found most). Fix: use max"),
        ("data.unreadable=skip", "data.unreadable: the key was renamed (found unreadable). Fix: use on_error"),
        (
            "data.layout={name: acdc, every: 2}",
            "data.layout: data.layout.every: the key was renamed (found every). Fix: use frame_step",
        ),
        (
            "pretext.method={name: masked, share: 0.5}",
            "pretext.method: pretext.method.share: the key was renamed (found share). Fix: use mask_ratio",
        ),
        (
            "pretext.method={name: denoise, share: 0.5}",
            "pretext.method: pretext.method.share: the key was renamed (found share). Fix: use noise_ratio",
        ),
        ("design.over=[crop]", "design.over: the key was renamed (found over). Fix: use factors"),
        (
            "network={name: unet_time, window: 4}",
            "network: network.name: the value was renamed (found unet_time). Fix: use unet3d",
        ),
        ("downstream.targets=ends", "downstream.targets: the value was renamed (found ends). Fix: use ed_es"),
    ],
)
def test_a_former_key_or_name_on_the_command_line_names_the_current_one(load, setting, problem):
    assert load(sets=(setting,)) == [f"--set {problem}"]


def test_a_former_key_in_a_file_is_reported_at_its_line(load):
    assert load("resources:\n  most: {cpus: 8}\n") == [
        "old.yaml:11: resources.most: the key was renamed (found most). Fix: use max"
    ]


def test_a_former_key_in_a_factor_is_reported_at_the_level(load):
    text = "factors:\n  start:\n    one: {}\n    two: {pretext.first: {method: global_contrastive}}\n"
    assert load(text) == [
        "old.yaml:13 (start=two): pretext.first: the key was renamed (found first). Fix: use init_from",
    ]


def test_a_former_key_of_a_setting_that_no_factor_can_vary_names_the_current_one(load):
    (problem,) = load("factors:\n  resources.most.cpus: [2, 4]\n")
    assert problem.startswith(
        "old.yaml:11: factors.resources.most.cpus: 'resources.most.cpus' (now 'resources.max.cpus') "
        "is not a setting that a factor can vary; known: data, "
    )


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("pretext.method={name: masked, share: 0.5}", "pretext.method.share: the key was renamed (found share)"),
        ("pretext.method={name: masked, patches: 4}", "pretext.method.patches: unknown key; did you mean 'patch'?"),
        ("pretext.method={name: maskd}", "pretext.method.name: unknown pretext method 'maskd'; did you mean 'masked'?"),
    ],
)
@pytest.mark.parametrize("factor", ["pretext.method: [random, byol]", "start: {random: {pretext.method: random}}"])
def test_a_component_that_factors_replace_is_checked_too(load, setting, problem, factor):
    (found,) = load(f"factors:\n  {factor}\n", sets=(setting,))
    assert found.startswith(f"--set pretext.method: {problem}")


def test_a_component_that_factors_replace_may_depend_on_their_levels(tmp_path):
    path = tmp_path / "valid.yaml"
    path.write_text(FILE.replace("simclr", "null") + "factors:\n  pretext.method: [simclr, byol]\n")
    assert len(load_study(str(path), sets=["network.backbone=resnet18", "factors.network=[deeplabv3]"]).cells()) == 2


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("pretext.first.fit.epochs", "the key was renamed (found first). Fix: use pretext.init_from.fit.epochs"),
        (
            "pretext.method.share",
            "the key was renamed (found share). "
            "Fix: use pretext.method.mask_ratio (masked) or pretext.method.noise_ratio (denoise)",
        ),
        (
            "pretext.first.method.share",
            "the key was renamed (found first and share). "
            "Fix: use pretext.init_from.method.mask_ratio (masked) or pretext.init_from.method.noise_ratio (denoise)",
        ),
        (
            "data.unreadable",
            "is not a setting that can be searched (now 'data.on_error'); "
            "known: downstream, network, pretext, propagation, registration, stages",
        ),
        (
            "resources.most.cpus",
            "is not a setting that can be searched (now 'resources.max.cpus'); "
            "known: downstream, network, pretext, propagation, registration, stages",
        ),
    ],
)
@pytest.mark.parametrize("method", ["random", "simclr", "masked"])
def test_a_former_key_in_the_search_space_is_reported_at_the_range(load, path, problem, method):
    found = load(sets=(f"search.space.{path}={{int: [1, 2]}}", f"pretext.method={method}"))
    assert found == [f"--set search.space.{path}: {problem}"]


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        (
            "{pretext.first.fit.epochs: 3}",
            "when: the key was renamed (found first). Fix: use pretext.init_from.fit.epochs",
        ),
        (
            "{downstream.targets: [ends]}",
            "when: no cell accepts this value; downstream.targets: the value was renamed (found ends). Fix: use ed_es",
        ),
    ],
)
def test_a_former_key_or_name_in_a_condition_is_reported_at_the_range(load, condition, problem):
    setting = f"search.space.downstream.augment.strength={{uniform: [0, 1], when: {condition}}}"
    (found,) = load(sets=(setting,))
    assert found.endswith(f"search.space.downstream.augment.strength: {problem}")


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        ("pretext.fit.epochs", ". Fix: write pretext: {fit: {epochs: ...}}"),
        ("pretext.first", ", and first was renamed. Fix: write pretext: {init_from: ...}"),
        ("resources.most.cpus", ", and most was renamed. Fix: write resources: {max: {cpus: ...}}"),
        (
            "pretext.method.share",
            ", and share was renamed. "
            "Fix: write pretext: {method: {mask_ratio: ...}} or pretext: {method: {noise_ratio: ...}}",
        ),
        ("search.space.pretext.fit.epochs", ". Fix: write search: {space: {pretext.fit.epochs: ...}}"),
    ],
)
def test_a_dotted_key_in_a_profile_is_shown_in_its_nested_form(load, key, fix):
    found = load(f"profiles:\n  smoke:\n    {key}: 1\n", profile="smoke")
    assert found == [f"old.yaml:12 (profile smoke): {key}: keys are nested, not dotted{fix}"]


def test_a_dotted_key_is_shown_in_its_nested_form_at_every_depth(load):
    assert load(sets=("downstream={fit.epochs: 1}", "search={space.a.b: null}")) == [
        "--set downstream: downstream.fit.epochs: keys are nested, not dotted. Fix: write fit: {epochs: ...}",
        "--set search: search.space.a.b: keys are nested, not dotted. Fix: write space: {a.b: ...}",
    ]


def test_a_dotted_key_whose_first_part_does_not_exist_is_an_unknown_key(load):
    assert load("pretxt.fit: 1\n") == ["old.yaml:10: pretxt.fit: unknown key; did you mean 'pretext'?"]
    (problem,) = load(sets=("search.space.a.b={name: uniform, low: 0, high: 1, low.high: 2}",))
    assert problem == "--set search.space.a.b: search.space.a.b.low.high: unknown key; did you mean 'high'?"
