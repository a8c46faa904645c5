"""The strongest augmentation that still learns, with the short pretrainings planted or tiny."""

from dataclasses import replace
from unittest.mock import create_autospec

import pytest
from toys import toy_store

from trainables.augment.intensity import Jitter, Noise
from trainables.augment.policy import Policy
from trainables.common.errors import UserError
from trainables.common.learning import Learning
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitResult, FitSettings
from trainables.networks import UNetEncoder
from trainables.pretext import strength
from trainables.pretext.masked import MaskedModelling
from trainables.pretext.pretrain import PretextSettings, Pretrained, pretrain
from trainables.pretext.simclr import SimCLR
from trainables.pretext.strength import STRENGTHS, short, strongest, try_strengths

AUTO = PretextSettings(
    SimCLR(temperature=0.5, projection=8),
    FitSettings(40, 8, Adam(lr=3e-3), precision="float32"),
    Policy(strength="auto"),
)
FAINT = Policy(crop=None, flip=None, jitter=None, blur=None, noise=Noise(0.02))
BACKBONE, STORE = UNetEncoder(width=4, depth=2), toy_store(64, size=16)


@pytest.fixture
def skills(monkeypatch):
    """Plant the skill of each strength; return the planted values and the settings that were asked for."""
    planted, asked = {}, []

    def run(settings, *_):
        asked.append(settings)
        skill = planted[settings.augment.strength]
        learning = Learning("diverged", "") if skill is None else Learning("learned", "", skill=skill)
        return Pretrained({}, FitResult({}, 1, [{}]), learning)

    monkeypatch.setattr(strength, "pretrain", create_autospec(pretrain, side_effect=run))
    return planted, asked


def test_too_few_validation_images_to_tell_are_an_error(monkeypatch):
    unknown = Learning("unknown", "9 validation images, expected at least 16")
    done = Pretrained({}, FitResult({}, 1, [{}]), unknown)
    monkeypatch.setattr(strength, "pretrain", create_autospec(pretrain, return_value=done))
    with pytest.raises(UserError, match=r"strength: auto .* 9 validation images.* Fix: set augment.strength"):
        try_strengths(AUTO, BACKBONE, STORE, LocalRuntime(), seed=0)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([0.9, 0.9, 0.8, 0.7, 0.6], 1.5),
        ([0.9, 0.8, 0.3], 0.5),
        ([0.3, 0.8, 0.39], 0.5),  # a weak strength may be harder to learn from than a stronger one
        ([0.2, 0.1, 0.05], 0.5),
        ([0.0], 0.25),
        ([None], 0.25),
    ],
)
def test_the_strongest_that_keeps_half_of_the_best_skill_is_found(skills, found, expected):
    planted, asked = skills
    planted.update(zip(STRENGTHS, found, strict=False))
    tried = try_strengths(AUTO, BACKBONE, STORE, LocalRuntime(), seed=0)
    assert strongest(tried) == expected
    assert len(asked) == len(found)  # nothing stronger is tried after one that no longer learns


def test_short_pretrainings_differ_from_the_full_one_in_length_and_strength_only():
    brief = short(AUTO, 0.5)
    assert (brief.fit.epochs, brief.fit.evaluate_every, brief.guard) == (8, 8, "warn")
    same = replace(brief, fit=AUTO.fit, augment=AUTO.augment, guard=AUTO.guard)
    assert same == AUTO
    assert short(replace(AUTO, fit=FitSettings(epochs=3)), 1.0).fit.epochs == 3


def test_an_interrupted_choice_goes_on_where_it_was(tmp_path, skills):
    planted, asked = skills
    planted.update(dict.fromkeys(STRENGTHS, 0.8))

    def stop(number, metrics):
        if number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        try_strengths(AUTO, BACKBONE, STORE, LocalRuntime(tmp_path, stop), seed=0)
    asked.clear()
    tried = try_strengths(AUTO, BACKBONE, STORE, LocalRuntime(tmp_path), seed=0)
    assert [entry.strength for entry in tried] == list(STRENGTHS)
    assert [settings.augment.strength for settings in asked] == list(STRENGTHS[2:])


def test_a_choice_that_was_finished_before_is_not_repeated(tmp_path, skills):
    planted, asked = skills
    planted.update({0.25: 0.8, 0.5: 0.1})
    first = try_strengths(AUTO, BACKBONE, STORE, LocalRuntime(tmp_path), seed=0)
    asked.clear()
    assert try_strengths(AUTO, BACKBONE, STORE, LocalRuntime(tmp_path), seed=0) == first
    assert not asked


def test_harmless_views_are_learned_at_every_strength_and_blank_ones_at_none():
    brief = replace(AUTO, fit=replace(AUTO.fit, epochs=30))
    mild = replace(brief, augment=replace(FAINT, strength="auto"))
    assert strongest(try_strengths(mild, BACKBONE, STORE, LocalRuntime(), seed=0)) == max(STRENGTHS)
    blank = replace(brief, augment=Policy(strength="auto", crop=None, jitter=Jitter(0, 1e3, p=1), noise=Noise(5, p=1)))
    assert strongest(try_strengths(blank, BACKBONE, STORE, LocalRuntime(), seed=0)) <= 0.5


@pytest.mark.parametrize(
    "changes",
    [{"method": MaskedModelling()}, {"init_from": PretextSettings()}],
    ids=["a method without views", "a later step of a chain"],
)
def test_auto_is_refused_where_no_strength_can_be_found(changes):
    with pytest.raises(ValueError, match=r"augment\.strength is auto"):
        replace(AUTO, **changes)


def test_a_policy_without_a_number_is_not_applied():
    with pytest.raises(ValueError, match="expected the number that was found"):
        Policy(strength="auto").active()
    assert Policy(strength="auto").resolved(0.5).factor == 0.5
    assert Policy(strength=0.7).resolved(0.5).factor == 0.7
