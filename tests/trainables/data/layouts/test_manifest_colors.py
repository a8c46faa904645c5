"""Colored images of a user's own data: kept with `channels: rgb`, else read as grey with one note."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.config.problems import SpecError
from study.config.settings import parse
from trainables.data.layouts.manifest import Manifest
from trainables.data.records import RGB, Layout
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.data.store.prepare import prepare, store_folder

GREY = DataSettings(layout=Manifest(), image_size=16, fractions=(1, 1, 1))
COLOR = replace(GREY, layout=Manifest(channels="rgb"))
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3)).astype(np.uint8)


@pytest.fixture
def root(tmp_path) -> Path:
    """Six subjects: four in color, one gray with three channels, one gray with one."""
    root = tmp_path / "data"
    root.mkdir()
    rows = ["subject,image,mask"]
    for number, image in enumerate(PIXELS):
        gray = np.repeat(image[..., :1], 3, axis=2)
        Image.fromarray(image if number < 4 else gray if number < 5 else gray[..., 0]).save(root / f"{number}.png")
        Image.fromarray((image[..., 0] > 99).astype(np.uint8)).save(root / f"m{number}.png")
        rows.append(f"p{number},{number}.png,m{number}.png")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    (root / "classes.csv").write_text("value,name\n1,polyp\n")
    return root


def test_colors_are_kept_from_the_file_to_the_store(root, tmp_path):
    store = prepare(COLOR, root, tmp_path / "s", b"key")
    assert (store.channels, store.channel_names) == (3, RGB)
    np.testing.assert_array_equal(np.asarray(store.images[:4]), PIXELS[:4].transpose(0, 3, 1, 2))
    for row in (4, 5):
        np.testing.assert_array_equal(store.images[row], np.stack([PIXELS[row, ..., 0]] * 3))
    train = store.images[store.rows("train")] / 255
    np.testing.assert_allclose(store.mean, train.mean((0, 2, 3)), rtol=1e-6)
    assert len(store.masks) == 6


def test_grey_is_the_default_and_notes_the_images_in_color_once(root, tmp_path):
    report = check(GREY, root)
    notes = [str(issue) for issue in report.issues if issue.kind == "colours read as grey"]
    assert notes == [
        "4 images are in colour; they are read as grey. Fix: set layout.channels to rgb to keep the colours"
    ]
    assert report.refusal == ""
    assert not [issue for issue in check(COLOR, root).issues if "colour" in issue.kind]
    store = prepare(GREY, root, tmp_path / "s", b"key")
    assert store.channel_names == ("grey",)
    weighted = PIXELS[:4] @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(store.images[:4, 0], weighted, atol=1.01)
    assert "colours read as grey" not in store.issues


def test_an_image_is_decoded_once(root, monkeypatch):
    import cv2

    decoded: list[int] = []
    real = cv2.imdecode

    def counted(data: np.ndarray, flag: int) -> np.ndarray:
        decoded.append(flag)
        return real(data, flag)

    monkeypatch.setattr(cv2, "imdecode", counted)
    check(GREY, root)
    assert len(decoded) == 12  # six images and six masks


def test_one_image_in_color_is_said_to_be_one(root):
    for number in range(1, 4):
        Image.fromarray(PIXELS[number, ..., 0]).save(root / f"{number}.png")
    assert any(str(issue).startswith("1 image is in colour; it is read as grey.") for issue in check(GREY, root).issues)


def test_stores_of_gray_datasets_keep_their_folder(root, tmp_path, monkeypatch):
    default = store_folder(GREY, root, tmp_path, b"key")
    assert store_folder(COLOR, root, tmp_path, b"key") != default
    monkeypatch.setattr("trainables.data.store.prepare.digested", lambda layout: {**BEFORE})
    assert store_folder(GREY, root, tmp_path, b"key") == default


BEFORE = {"file": "manifest.csv", "time": False, "slice_axis": None, "ignore": ()}
"""Settings of the layout before it had `channels`."""


def test_unknown_channels_are_refused():
    with pytest.raises(SpecError, match=r"channels: unknown choice 'rbg'; did you mean 'rgb'\?"):
        parse(Layout, {"name": "manifest", "channels": "rbg"})
