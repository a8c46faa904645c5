import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from images import PREPROCESSING, Threshold, ensemble

from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batches
from trainables.data.store.synthetic_store import synthetic_store
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import mean_scores, predict
from trainables.downstream.temporal import TemporalSegmentation
from trainables.downstream.transfer import Transfer
from trainables.networks.unet import UNetEncoder
from trainables.networks.unet3d import UNet3D
from trainables.prediction.ensemble import Ensemble, disagreement
from trainables.prediction.preprocessing import Preprocessing
from trainables.prediction.restoring import largest

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 1, 32, 32)).astype(np.uint8))


def test_several_networks_have_the_mean_of_their_probabilities():
    found = ensemble(Threshold(0.3, 4.0), Threshold(0.6, 9.0))(IMAGES)
    grey = IMAGES.numpy() / 255
    logits = [
        np.concatenate([-sharp * (grey - level), sharp * (grey - level)], 1) for level, sharp in ((0.3, 4), (0.6, 9))
    ]
    expected = np.mean([np.exp(each) / np.exp(each).sum(1, keepdims=True) for each in logits], axis=0)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    assert found.disagreement is None


def test_one_network_keeps_its_logits():
    expected = Threshold()(IMAGES.float() / 255)
    torch.testing.assert_close(ensemble()(IMAGES).scores, expected, rtol=0, atol=1e-5)


def test_flips_average_over_mirror_images():
    class LeftHalf(Threshold):
        """Network that calls the left half an lv, whatever it shows."""

        def forward(self, images):
            logit = torch.zeros_like(images)
            logit[..., :16] = 100.0
            return torch.cat([-logit, logit], 1)

    found = ensemble(LeftHalf(), flips=True)(IMAGES).probabilities
    np.testing.assert_allclose(
        found, torch.full_like(found, 0.5) + torch.tensor([-0.25, 0.25]).view(1, 2, 1, 1), atol=1e-6
    )


@pytest.mark.parametrize(
    ("one", "other", "bits"),
    [((50.0, -50.0), (-50.0, 50.0), 1.0), ((50.0, -50.0), (50.0, -50.0), 0.0), ((0.0, 0.0), (0.0, 0.0), 0.0)],
)
def test_disagreement_is_one_bit_where_two_networks_are_sure_of_different_classes(one, other, bits):
    scores = [[torch.tensor(each).view(1, 2, 1, 1)] for each in (one, other)]
    assert disagreement(scores).item() == pytest.approx(bits, abs=1e-6)


def test_disagreement_of_known_probabilities():
    first, second = torch.tensor([0.9, 0.1]), torch.tensor([0.3, 0.7])
    entropy = lambda p: -(p * np.log2(p)).sum()  # noqa: E731
    expected = entropy(np.array([0.6, 0.4])) - (entropy(np.array([0.9, 0.1])) + entropy(np.array([0.3, 0.7]))) / 2
    found = disagreement([[each.log().view(1, 2, 1, 1)] for each in (first, second)])
    assert found.item() == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="at least two"):
        ensemble(disagreement=True)


def test_the_largest_class_is_that_of_argmax_with_its_ties():
    values = torch.randint(0, 4, (6, 5, 20, 20), generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    assert (largest(values) == values.argmax(1)).all()
    assert PREPROCESSING.classes == ("background", "lv")
    assert mean_scores([values]) is values


def test_a_sequence_is_segmented_as_the_test_of_a_network_over_time_does():
    torch.manual_seed(0)
    store = synthetic_store(sequences=1, size=32, frames=11)
    network = UNet3D(backbone=UNetEncoder(width=4, depth=2), window=4).build(1, len(store.classes)).eval()
    given = Preprocessing(32, ("grey",), store.mean, store.std, store.classes)
    task = TemporalSegmentation(network, DiceCrossEntropy(), Policy(), store, Transfer(), 4, 2).eval()
    rows = store.rows("train")
    with torch.no_grad():
        expected = predict([task], Batches(store, rows, 5, shuffle=False).epoch(0)).masks
    found = Ensemble([network], given, device=torch.device("cpu"), precision="float32", frames=4, batch=2)
    np.testing.assert_array_equal(largest(found(torch.from_numpy(store.images[rows])).scores), expected)
    assert len(np.unique(expected)) > 1
