import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.augment.geometry import Flip, Rotate, Scale
from trainables.augment.policy import Policy
from trainables.common.errors import DataError
from trainables.data.layouts.cardiac_dicom import CardiacDicom
from trainables.data.layouts.ukbb import UkBiobank
from trainables.data.sampling.batches import Batches
from trainables.data.settings import DataSettings
from trainables.data.store.prepare import prepare
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import UNet, UNetEncoder
from trainables.phantom import PhantomSettings
from trainables.pretext.position import PositionPrediction, PositionTask, anatomical_positions, box_maps, positions
from trainables.pretext.pretrain import PretextSettings, pretrain

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


def heart(rng, image):
    """Planes of an image and of the views across and along it, through a middle in the patient; the heart lies anyhow.

    Left is the first axis, front and head the second and third turned round as DICOM has them.
    """
    turn, _ = np.linalg.qr(np.eye(3) + 0.25 * rng.normal(size=(3, 3)))
    turn *= np.sign(np.diag(turn))[None, :]
    upwards = np.array([0, -1.0, 0]) if image == "short_axis" else np.array([0, 0, 1.0])
    left, up = np.array([1.0, 0, 0]) @ turn, upwards @ turn
    out = np.cross(left, up)
    middle = rng.normal(0, 40, 3)

    def plane(one, two):
        """Through the middle, spanned by two directions, its rows and columns turned in itself."""
        angle = rng.uniform(0, 2 * np.pi)
        down, right = np.cos(angle) * one + np.sin(angle) * two, np.cos(angle) * two - np.sin(angle) * one
        spacing = rng.uniform(0.8, 3, 2)
        origin = middle - rng.uniform(20, 90) * down - rng.uniform(20, 90) * right
        return np.stack([origin, spacing[0] * down, spacing[1] * right])

    return plane(left, up), plane(left, out), plane(up, out), middle, left, up


@given(st.integers(0, 10_000), st.sampled_from(["short_axis", "long_axis"]))
def test_places_are_where_the_heart_has_them(seed, image):
    plane, across, along, middle, left, up = heart(np.random.default_rng(seed), image)
    places = anatomical_positions(plane, across, along, PositionPrediction(image))
    expected = [0 * left] + [count * 54.6 * way for way in (left, -left, up, -up) for count in (1, 2)]
    np.testing.assert_allclose(patient(plane, places), middle + np.array(expected), atol=1e-6)


def test_a_box_has_its_number_from_the_view_that_draws_its_line_even_where_the_other_lies_further_left():
    turn = np.deg2rad(50)
    right, along = np.array([np.cos(turn), 0, -np.sin(turn)]), np.array([np.sin(turn), 0, np.cos(turn)])
    across_plane = np.stack([np.zeros(3), [0, 1.0, 0], right])
    along_plane = np.stack([np.zeros(3), [0, 1.0, 0], along])
    image = np.stack([[-200, 0, 200], [0, 0, -1.0], [1.0, 0, 0]])  # a pixel is a mm; rows lead to the feet
    places = patient(image, anatomical_positions(image, across_plane, along_plane, PositionPrediction("long_axis")))
    np.testing.assert_allclose(places[1], 54.6 * right, atol=1e-9)
    np.testing.assert_allclose(places[5], 54.6 * along, atol=1e-9)


def test_planes_that_define_no_places_give_none():
    image, across, along, *_ = heart(np.random.default_rng(1), "short_axis")
    method = PositionPrediction()
    assert anatomical_positions(image, across, across, method) is None
    assert anatomical_positions(image, image + np.array([[3.0], [0], [0]]), along, method) is None
    level = np.stack([image[0], [1.0, 0, 0], [0, 0, 1.0]])  # its line with an upright image runs neither front nor back
    assert anatomical_positions(np.stack([np.zeros(3), [0, 0, 1.0], [1.0, 0, 0]]), across, level, method) is None


def test_the_figures_of_the_paper_come_out_at_its_pixels():
    size, method = 180, PositionPrediction()
    pixels = np.diag([1.82, 1.82, 1.82])
    image = np.stack([-90.0 * pixels.sum(0), pixels[1], pixels[0]])
    image[0, 2] = 0
    across, along = np.stack([np.zeros(3), pixels[0], pixels[2]]), np.stack([np.zeros(3), pixels[1], pixels[2]])
    places = anatomical_positions(image, across, along, method)
    expected = [(90, 90), (90, 120), (90, 150), (90, 60), (90, 30), (60, 90), (30, 90), (120, 90), (150, 90)]
    np.testing.assert_allclose(places, expected, atol=1e-9)
    sides = torch.tensor([[method.box_mm / 1.82] * 2]).round()
    boxes = box_maps(torch.tensor(places)[None], sides, size)[0]
    for number, (row, column) in enumerate(expected, 1):
        assert (boxes[row - 5 : row + 6, column - 5 : column + 6] == number).all()
        assert (boxes == number).sum() == 11 * 11


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


@given(st.integers(0, 10_000))
def test_boxes_have_their_whole_sides_wherever_they_are_centred(seed):
    rng = np.random.default_rng(seed)
    centres = np.stack(np.meshgrid([15, 45, 75], [15, 45, 75], indexing="ij"), -1).reshape(9, 2)
    centres = (centres + np.where(rng.random((9, 2)) < 0.3, 0.5, rng.uniform(-5, 5, (9, 2)))).astype(np.float32)
    sides = rng.integers(1, 14, 2)
    boxes = box_maps(torch.tensor(centres[None]), torch.tensor(sides[None]), 90)[0].numpy()
    for number, centre in enumerate(centres, 1):
        found = np.argwhere(boxes == number)
        assert tuple(np.ptp(found, axis=0) + 1) == tuple(sides)
        assert len(found) == np.prod(sides)
        assert np.abs(found.mean(0) - centre).max() <= 0.5


def test_boxes_are_drawn_as_a_loop_would():
    rng = np.random.default_rng(0)
    centres, sides = rng.uniform(-3, 20, (2, 9, 2)), np.array([[3, 4], [2, 1]])
    maps = box_maps(torch.tensor(centres), torch.tensor(sides), 16)
    for sample, row, column in np.ndindex(2, 16, 16):
        inside = [
            number
            for number, place in enumerate(centres[sample], 1)
            if abs(row - place[0]) <= sides[sample, 0] / 2 and abs(column - place[1]) <= sides[sample, 1] / 2
        ]
        assert maps[sample, row, column] == max(inside, default=0)


@pytest.mark.parametrize("image", ["short_axis", "long_axis"])
def test_every_frame_has_the_places_of_its_own_plane(store, image):
    method = PositionPrediction(image)
    found, planes, views = positions(store, method), store.index["plane"].astype(float), store.index["view"]
    seen = 0
    for subject in np.unique(store.index["subject"]):
        mine = store.index["subject"] == subject
        view, (across, along) = method.planes
        of = {name: np.flatnonzero(mine & (views == store.views.index(name))) for name in ("SA", "2CH", "4CH")}
        height = [planes[row, 0] @ np.cross(planes[row, 2], planes[row, 1]) for row in of["SA"]]
        ordered = np.unique(np.round(height, 1))
        middles = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
        sa = [row for row, level in zip(of["SA"], height, strict=True) if np.round(level, 1) in middles]
        for row in of[view]:
            choices = sa if across == "SA" else of[across]
            expected = [anatomical_positions(planes[row], planes[one], planes[of[along][0]], method) for one in choices]
            assert any(np.allclose(found[row], each, atol=1e-3) for each in expected)
            seen += 1
    assert seen == (~np.isnan(found[:, 0, 0])).sum() > 0


def test_boxes_move_with_the_augmented_image(store):
    method = PositionPrediction()
    rows = method.rows(store, store.rows("train"))[:4]
    batch = next(Batches(store, rows, 4, shuffle=False).epoch(0))
    built = NETWORK.build(1, 1)
    task = PositionTask(method, built.backbone, built.decoder, PLAIN, store)
    mirror = Policy(crop=None, flip=Flip(1.0), jitter=None, blur=None)
    _, flipped = mirror.apply(batch.images, task.boxes(batch), batch.draw)
    assert torch.equal(flipped, task.boxes(batch).flip(2))


def test_boxes_turn_and_scale_with_the_augmented_image(store):
    method = PositionPrediction()
    rows = method.rows(store, store.rows("train"))[:6]
    batch = next(Batches(store, rows, 6, shuffle=False).epoch(0))
    built = NETWORK.build(1, 1)
    boxes = PositionTask(method, built.backbone, built.decoder, PLAIN, store).boxes(batch)
    turned = dataclasses.replace(PLAIN, rotate=Rotate(30.0), scale=Scale((0.7, 1.4)))
    for number in (1, 2, 6):
        drawn = (boxes == number).to(torch.uint8) * 255
        images, masks = turned.apply(drawn[:, None], boxes, batch.draw)
        assert not torch.equal(masks, boxes)
        in_image, in_masks = images[:, 0] > 0.5, masks == number
        assert (in_image ^ in_masks).sum() <= 0.1 * in_masks.sum() > 0


def test_the_loss_is_cross_entropy_over_all_pixels_of_what_the_network_says(store):
    method = PositionPrediction()
    batch = next(Batches(store, method.rows(store, store.rows("train"))[:3], 3, shuffle=False).epoch(0))
    built = NETWORK.build(1, 1)
    task = PositionTask(method, built.backbone, built.decoder, PLAIN, store).double()
    with torch.no_grad():
        logits = task.network(task.normalise(batch.images.double() / 255)).numpy()
        loss = task.training_step(batch)["loss"]
    boxes = task.boxes(batch).numpy()
    assert logits.shape[1] == 10
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    said = [-np.log(shares[sample, boxes[sample, r, c], r, c]) for sample, r, c in np.ndindex(boxes.shape)]
    np.testing.assert_allclose(float(loss), np.mean(said), rtol=1e-5)


@pytest.mark.parametrize("image", ["short_axis", "long_axis"])
def test_the_network_learns_to_find_them(store, image):
    fit = FitSettings(12, 8, Adam(lr=3e-3), precision="float32")
    settings = PretextSettings(PositionPrediction(image), fit, PLAIN, "all")
    history = pretrain(settings, NETWORK, store, LocalRuntime(), seed=0).fitted.history
    assert history[-1]["loss"] < 0.6 * history[0]["loss"]


def test_a_dataset_without_the_views_or_their_geometry_is_one_clear_error(store):
    rows = store.rows("train")
    fewer = dataclasses.replace(store, views=tuple(view if view != "2CH" else "3CH" for view in store.views))
    with pytest.raises(DataError, match=r"needs a SA view with the planes of 4CH and 2CH .*has no 2CH"):
        PositionPrediction().rows(fewer, rows)
    index = np.array(store.index)
    index["plane"][index["view"] == store.views.index("4CH")] = np.nan
    with pytest.raises(DataError, match="no frames of 4CH say where they lie"):
        PositionPrediction("long_axis").rows(dataclasses.replace(store, index=index), rows)
    index["plane"] = store.index["plane"]
    index["subject"] = index["view"]
    with pytest.raises(DataError, match="no subject has all of them"):
        PositionPrediction().rows(dataclasses.replace(store, index=index), rows)


def test_a_train_split_without_such_frames_is_one_clear_error(store):
    index = np.array(store.index)
    index["plane"][store.rows("train")] = np.nan
    bare = dataclasses.replace(store, index=index)
    settings = PretextSettings(PositionPrediction(), FitSettings(1, 8, precision="float32"), PLAIN, "all")
    with pytest.raises(DataError, match="no frame in its train split that PositionPrediction can use"):
        pretrain(settings, NETWORK, bare, LocalRuntime(), seed=0)


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
