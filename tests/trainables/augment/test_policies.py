"""Named policies: what each promises, on images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.keep import kept, sector_mask
from trainables.augment.policies import POLICIES
from trainables.augment.policy import Policy
from trainables.phantom.anatomy.shapes import draw_heart
from trainables.phantom.imaging.ultrasound import draw_scanner, render


def echo_frames(count: int = 24, size: int = 80) -> torch.Tensor:
    frames = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        heart = draw_heart(rng, frames=1)
        frames.append(render(heart, draw_scanner(rng, heart), size, rng)[0])
    return torch.from_numpy(np.stack(frames))[:, None]


IMAGES = echo_frames()


def views(policy: Policy) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the views of a policy, and the same views without its intensity operations."""
    rng = BatchRNG(0, len(IMAGES), 0, len(IMAGES))
    return policy.apply(IMAGES, None, rng)[0], policy.geometry_only().apply(IMAGES, None, rng)[0]


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_changes_images_and_stays_in_range(name):
    found, _ = views(POLICIES[name])
    assert found.shape == IMAGES.shape
    assert (found - IMAGES / 255).abs().mean() > 0.01
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("name", [name for name, policy in POLICIES.items() if policy.keep is not None])
def test_a_policy_with_a_budget_keeps_what_it_states(name):
    policy = POLICIES[name]
    spread, edges = kept(*views(policy))
    assert policy.keep is not None
    assert spread.min() >= policy.keep.spread - 1e-3
    assert edges.min() >= policy.keep.edges - 1e-3


def test_the_budget_of_ultrasound_is_needed():
    without, base = views(replace(POLICIES["ultrasound"], keep=None))
    spread, edges = kept(without, base)
    assert (spread < 0.6).any()
    assert (edges < 0.7).any()


def test_ultrasound_writes_nothing_outside_the_sector():
    found, base = views(POLICIES["ultrasound"])
    outside = ~sector_mask(base).expand_as(found)
    assert outside.any()
    assert found[outside].max() == 0


def test_the_default_policy_is_the_one_for_natural_images():
    assert POLICIES["natural"] == Policy()
