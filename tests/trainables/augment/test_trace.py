"""Trace of a policy: the same views as training sees, and the operations that made them."""

import torch
from toys import toy_store

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.geometry import Crop, Flip, Rotate
from trainables.augment.intensity import Gamma, Jitter, Noise
from trainables.augment.keep import Keep
from trainables.augment.policy import Policy
from trainables.augment.trace import trace

STORE = toy_store(6, size=32)
IMAGES = torch.from_numpy(STORE.images[:6])
NOTHING = Policy(crop=None, flip=None, jitter=None, blur=None)


def rng() -> BatchRNG:
    return BatchRNG(3, 6, 0, 6)


def test_the_views_are_those_of_training():
    policy = Policy(gamma=Gamma(p=1.0), noise=Noise(0.3, 1.0), keep=Keep(0.9, 0.9))
    masks = torch.randint(3, (6, 32, 32), dtype=torch.uint8)
    expected, warped = policy.apply(IMAGES, masks, rng())
    found = trace(policy, IMAGES, masks, rng())
    assert torch.equal(torch.stack([view.image for view in found]), expected)
    assert torch.equal(torch.stack([view.mask for view in found]), warped)
    assert all(view.spread >= 0.9 and view.edges >= 0.9 for view in found)


def test_each_view_names_what_changed_it_and_by_how_much():
    policy = Policy(crop=Crop((0.25, 0.25), (1, 1)), flip=Flip(1.0), jitter=Jitter(0.9, 0, 1.0), blur=None)
    for view in trace(policy, IMAGES, None, rng()):
        assert view.changes[:2] == ("area 25%", "flip")
        assert view.changes[2].startswith("jitter ")
    turned = Policy(crop=None, flip=None, jitter=None, blur=None, rotate=Rotate(180.0))
    angles = {view.changes[0] for view in trace(turned, IMAGES, None, rng())}
    assert len(angles) > 3
    assert all(angle.startswith("turn ") for angle in angles)


def test_a_policy_without_operations_leaves_frames_unchanged():
    assert [view.changes for view in trace(NOTHING, IMAGES, None, rng())] == [()] * 6
