import numpy as np
import pytest
import torch

from trainables.metrics.overlap import dice
from trainables.registration.pairwise import Pairwise
from trainables.registration.propagate import Propagation, propagate


def scores(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return dice(torch.from_numpy(found).long(), torch.from_numpy(truth).long(), 3).numpy()


def shift(y: float, x: float):
    def register(fixed: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
        return torch.tensor([y, x]).view(1, 2, 1, 1).expand(len(fixed), 2, *fixed.shape[-2:])

    return register


@pytest.mark.parametrize("direction", ["forward", "backward", "bidirectional"])
def test_a_translating_disc_is_recovered(shifting, direction):
    settings = Propagation(direction, batch_size=4)
    register = Pairwise(grid_spacing=32, stages=1, steps=50, lr=0.3).displacement
    first, last = shifting.masks[0], shifting.masks[-1]
    found = propagate(settings, register, torch.from_numpy(shifting.frames), first, last, 3)
    assert found.shape == shifting.masks.shape
    assert found.dtype == np.uint8
    measured = scores(found, shifting.masks)
    assert measured.min() > 0.9
    assert scores(np.stack([first] * 6), shifting.masks)[-1].max() < 0.8  # what standing still would give
    if direction != "backward":
        np.testing.assert_array_equal(found[0], first)
    if direction != "forward":
        np.testing.assert_array_equal(found[-1], last)


def test_composing_rounds_once_where_warping_in_sequence_rounds_every_time():
    """0.4 pixels a frame over ten frames: four in all, but nearest neighbours never move."""
    frames = torch.zeros(11, 1, 40, 40, dtype=torch.uint8)
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 10:20] = 1
    for warping, expected in [("composed", 4), ("sequential", 0)]:
        found = propagate(Propagation("forward", warping), shift(0.0, -0.4), frames, mask, mask, 2)
        np.testing.assert_array_equal(found[-1], np.roll(mask, expected, 1))


def test_backward_is_forward_of_the_reversed_sequence(shifting):
    frames = torch.from_numpy(shifting.frames)
    register = Pairwise(grid_spacing=32, stages=1, steps=3).displacement
    first, last = shifting.masks[0], shifting.masks[-1]
    backward = propagate(Propagation("backward"), register, frames, first, last, 3)
    forward = propagate(Propagation("forward"), register, frames.flip(0), last, first, 3)
    np.testing.assert_array_equal(backward, forward[::-1])


def test_both_directions_mend_each_others_drift(shifting):
    """Labels that stand still: the blend moves from the one end to the other, and is better than either."""
    frames = torch.from_numpy(shifting.frames)
    first, last = shifting.masks[0], shifting.masks[-1]
    found = {
        direction: scores(
            propagate(Propagation(direction), shift(0.0, 0.0), frames, first, last, 3), shifting.masks
        ).mean()
        for direction in ("forward", "backward", "bidirectional")
    }
    assert found["bidirectional"] > max(found["forward"], found["backward"]) + 0.05


@pytest.mark.parametrize("count", [1, 0])
def test_too_short_a_sequence_is_refused(count):
    mask = np.zeros((8, 8), np.uint8)
    with pytest.raises(ValueError, match=f"{count} frames, expected 2 or more"):
        propagate(Propagation(), shift(0, 0), torch.zeros(count, 1, 8, 8, dtype=torch.uint8), mask, mask, 2)
