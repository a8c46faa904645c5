import numpy as np
import pytest
import torch
from monai.losses import DiceLoss

from trainables.downstream.losses import CrossEntropy, Dice, DiceCrossEntropy

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(3, 4, 8, 9, dtype=torch.float64, generator=GENERATOR)
TARGET = torch.randint(0, 4, (3, 8, 9), generator=GENERATOR)


def cross_entropy_by_hand(logits: np.ndarray, target: np.ndarray) -> float:
    total = 0.0
    for b, y, x in np.ndindex(target.shape):
        scores = logits[b, :, y, x]
        total += np.log(np.exp(scores).sum()) - scores[target[b, y, x]]
    return total / target.size


def test_cross_entropy_by_hand():
    expected = cross_entropy_by_hand(LOGITS.numpy(), TARGET.numpy())
    assert float(CrossEntropy()(LOGITS, TARGET)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("smooth", [1.0, 1e-5])
def test_dice_is_monais(batch, smooth):
    theirs = DiceLoss(
        include_background=False, to_onehot_y=True, softmax=True, batch=batch, smooth_nr=smooth, smooth_dr=smooth
    )
    expected = float(theirs(LOGITS, TARGET[:, None]))
    assert float(Dice(smooth, batch)(LOGITS, TARGET)) == pytest.approx(expected, abs=1e-6)


def test_the_sum_is_weighted():
    parts = 0.3 * Dice()(LOGITS, TARGET) + 2 * CrossEntropy()(LOGITS, TARGET)
    assert float(DiceCrossEntropy(0.3, 2)(LOGITS, TARGET)) == pytest.approx(float(parts), abs=1e-9)


def test_the_loss_of_a_perfect_prediction_is_zero_even_with_an_absent_class():
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    target[0, :2] = 1
    sure = torch.nn.functional.one_hot(target, 3).movedim(-1, 1).double() * 200
    assert float(Dice()(sure, target)) == pytest.approx(0, abs=1e-9)


def test_half_precision_is_widened():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = DiceCrossEntropy()(LOGITS.bfloat16(), TARGET)
    assert loss.dtype == torch.float32
