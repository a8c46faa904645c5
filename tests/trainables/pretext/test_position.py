import os
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.augment.geometry import Flip
from trainables.augment.policy import Policy
from trainables.data.batches import Batches
from trainables.data.layouts.cardiac_dicom import CardiacDicom
from trainables.data.layouts.ukbb import UkBiobank
from trainables.data.phantom import PhantomSettings
from trainables.data.phantom.cardiac_mr import draw_examination
from trainables.data.prepare import prepare
from trainables.data.settings import DataSettings
from trainables.errors import DataError
from trainables.loop import FitSettings
from trainables.networks import UNet, UNetEncoder
from trainables.optim.optimizers import Adam
from trainables.pretext.position import PositionPrediction, PositionTask, box_maps, positions
from trainables.pretext.pretrain import PretextSettings, pretrain
from trainables.runtime import LocalRuntime

PHANTOM = PhantomSettings(subjects=6, frames=8, size=64, slices=6, seed=2)
PLAIN = Policy(crop=None, flip=None, jitter=None, blur=None)
NETWORK = UNet(UNetEncoder(width=8, depth=3))
REAL = Path(os.environ.get("STUDY_REALDATA", Path(__file__).resolve().parents[4] / "shared" / "realdata"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    settings = DataSettings(layout=UkBiobank(), phantom=PHANTOM, image_size=64, pixel_mm=4.0)
    return prepare(settings, None, tmp_path_factory.mktemp("w"), b"key")


def patient(plane, place):
    return plane[0] + place[..., :1] * plane[1] + place[..., 1:] * plane[2]


@pytest.mark.parametrize("image", ["short_axis", "long_axis"])
def test_places_lie_on_the_cutting_planes_at_their_distances(store, image):
    method = PositionPrediction(image)
    places = positions(store, method)
    view = method.planes[0]
    known = np.flatnonzero(~np.isnan(places[:, 0, 0]))
    assert {store.views[store.index["view"][row]] for row in known} == {view}
    for row in known[::7]:
        points = patient(store.index["plane"][row].astype(float), places[row].astype(float))
        steps = [np.linalg.norm(points[k] - points[0]) for k in range(1, 9)]
        np.testing.assert_allclose(steps, [54.6, 109.2] * 4, rtol=1e-3)
        upper = np.array([0, -1.0, 0]) if image == "short_axis" else np.array([0, 0, 1.0])
        assert points[1, 0] > points[0, 0] > points[3, 0]  # left, middle, right
        assert points[5] @ upper > points[0] @ upper > points[7] @ upper


def test_the_places_of_a_short_axis_slice_meet_in_its_left_ventricle(store):
    places = positions(store, PositionPrediction())
    masked = np.flatnonzero((store.index["mask"] >= 0) & ~np.isnan(places[:, 0, 0]))
    hits = [
        int(store.masks[store.index["mask"][row]][tuple(places[row, 0].round().astype(int))])
        for row in masked
        if (store.masks[store.index["mask"][row]] == 1).sum() > 12
    ]
    assert len(hits) > 10
    assert np.mean([hit == store.classes.index("lv") for hit in hits]) > 0.95
    assert len(draw_examination(PHANTOM, "ukbb 1").views) == 3


def test_boxes_are_drawn_as_a_loop_would():
    rng = np.random.default_rng(0)
    centres, half = rng.uniform(-3, 20, (2, 9, 2)), np.array([[1.7, 2.2], [1.0, 0.5]])
    maps = box_maps(torch.tensor(centres), torch.tensor(half), 16)
    for sample, row, column in np.ndindex(2, 16, 16):
        inside = [
            number
            for number, place in enumerate(centres[sample], 1)
            if abs(row - place[0]) <= half[sample, 0] and abs(column - place[1]) <= half[sample, 1]
        ]
        assert maps[sample, row, column] == max(inside, default=0)


def test_boxes_move_with_the_augmented_image(store):
    method = PositionPrediction()
    rows = method.rows(store, store.rows("train"))[:4]
    batch = next(Batches(store, rows, 4, shuffle=False).epoch(0))
    built = NETWORK.build(1, 1)
    task = PositionTask(method, built.backbone, built.decoder, PLAIN, store)
    mirror = Policy(crop=None, flip=Flip(1.0), jitter=None, blur=None)
    _, flipped = mirror.apply(batch.images, task.boxes(batch), batch.draw)
    assert torch.equal(flipped, task.boxes(batch).flip(2))


@pytest.mark.parametrize("image", ["short_axis", "long_axis"])
def test_the_network_learns_to_find_them(store, image):
    fit = FitSettings(12, 8, Adam(lr=3e-3), precision="float32")
    settings = PretextSettings(PositionPrediction(image), fit, PLAIN, "all")
    history = pretrain(settings, NETWORK, store, LocalRuntime(), seed=0).fitted.history
    assert history[-1]["loss"] < 0.6 * history[0]["loss"]


def test_a_dataset_without_the_views_is_one_clear_error(store):
    class Bare:
        views = ("4CH",)

        def __len__(self) -> int:
            return 3

    with pytest.raises(DataError, match="needs a SA view with the planes of 4CH and 2CH"):
        PositionPrediction().rows(Bare(), np.arange(3))  # type: ignore[arg-type]


@pytest.mark.skipif(not (REAL / "cardiac_mr_dicom").is_dir(), reason=f"no real cardiac MR sample at {REAL}")
def test_on_the_real_sample_every_plane_meets_in_bright_blood_near_the_middle_of_the_heart(tmp_path):
    settings = DataSettings(layout=CardiacDicom(), image_size=192, pixel_mm=1.82)
    store = prepare(settings, REAL / "cardiac_mr_dicom", tmp_path, b"key")
    places = positions(store, PositionPrediction())
    rows = np.flatnonzero(~np.isnan(places[:, 0, 0]))
    planes = store.index["plane"][rows, 0].astype(float)
    assert len(np.unique(planes.round(1), axis=0)) == 6
    around = []
    for row in rows:
        r, c = places[row, 0].round().astype(int)
        around.append(store.images[row, 0, r - 3 : r + 4, c - 3 : c + 4].mean())
    assert np.median(around) > 1.5 * np.median(store.images[rows])
