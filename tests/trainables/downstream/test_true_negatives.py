"""Images without a structure, from the files of a manifest to the scores: kept, trained on and evaluated."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from trainables.augment.policy import Policy
from trainables.data.layouts.manifest import Manifest
from trainables.data.sampling.batches import Batches
from trainables.data.settings import DataSettings
from trainables.data.store.prepare import prepare
from trainables.downstream.labels import labelled_subjects
from trainables.downstream.losses import Dice, DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation
from trainables.downstream.settings import DownstreamSettings
from trainables.downstream.test_metrics import distances

SIDE = 16


class Bright(nn.Module):
    """Network that segments pixels above a gray level."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level, self.backbone = level, nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.level - images, images - self.level], 1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Six subjects, in each split one with a lesion and one without; the second's image has a bright spot."""
    root = tmp_path_factory.mktemp("negatives")
    lesion = np.zeros((SIDE, SIDE), np.uint8)
    lesion[4:9, 5:11] = 255
    spot = np.zeros_like(lesion)
    spot[2:4, 2:4] = 120
    for name, picture in (("ill", lesion), ("well", spot), ("none", lesion * 0)):
        cv2.imwrite(str(root / f"{name}.png"), picture)
    rows = ["subject,split,image,mask,row_mm,column_mm"]
    for split in ("train", "val", "test"):
        for name, mask in (("ill", "ill"), ("well", "none")):
            cv2.imwrite(str(root / f"{split}_{name}.png"), cv2.imread(str(root / f"{name}.png"), 0))
            rows.append(f"{split}_{name},{split},{split}_{name}.png,{mask}.png,1,1")
    (root / "manifest.csv").write_text("\n".join(rows))
    (root / "classes.csv").write_text("value,name\n255,lesion\n")
    settings = DataSettings(layout=Manifest(), image_size=SIDE)
    return prepare(settings, root, tmp_path_factory.mktemp("stores"), b"key", workers=1)


def task(store, level: float) -> Segmentation:
    made = Segmentation(Bright(level), DiceCrossEntropy(), Policy.mild(), store)  # type: ignore[arg-type]
    made.normalise = nn.Identity()  # type: ignore[assignment]
    return made.eval()


def test_they_count_as_labelled_subjects_and_are_drawn(store):
    assert (
        labelled_subjects(DownstreamSettings(), store, seed=0).tolist()
        == np.unique(store.index["subject"][store.rows("train")]).tolist()
    )
    (batch,) = Batches(store, store.rows("train", labelled=True), 2, masks=True).epoch(0)
    assert sorted(bool(mask.any()) for mask in batch.masks) == [False, True]


@pytest.mark.parametrize(("level", "dice", "distance"), [(0.6, 1.0, 0.0), (0.3, 0.0, np.hypot(SIDE, SIDE))])
def test_none_found_scores_one_and_a_false_positive_scores_zero(store, level, dice, distance):
    rows = store.rows("test", labelled=True)
    with torch.no_grad():
        batches = Batches(store, rows, 2, masks=True, shuffle=False)
        judge = task(store, level)
        found, metrics = judge.predict(batches.epoch(0)), judge.evaluate(batches.epoch(0))
    negative = [not store.masks[number].any() for number in store.index["mask"][found.cases]]
    assert sorted(negative) == [False, True]
    assert found.dice[negative].tolist() == [[dice]]
    assert found.dice[~np.array(negative)].tolist() == [[1.0]]
    assert metrics["dice"] == pytest.approx((dice + 1) / 2)
    assert distances(store, found).hausdorff[negative].tolist() == [[pytest.approx(distance)]]


def test_the_loss_pulls_a_false_positive_down():
    logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
    Dice()(logits, torch.zeros(1, 4, 4, dtype=torch.long)).backward()
    assert (logits.grad[:, 1] > 0).all()
