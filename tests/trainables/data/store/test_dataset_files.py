"""State of a dataset's files, links included; refusal of special files and of links that lead out."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.layouts.manifest import Manifest
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.data.store.dataset_files import dataset_files
from trainables.data.store.prepare import prepare

SPLITS = ("train", "train", "val", "test")


def write_images(folder: Path, column: int) -> None:
    """Write an image for each subject, and a mask whose square begins at `column`."""
    folder.mkdir(exist_ok=True)
    for number in range(len(SPLITS)):
        image, mask = np.full((2, 24, 24), number + 1, np.uint8)
        image[4:12, 4:12] = 200
        mask[:] = 0
        mask[4:12, column : column + 8] = 1
        cv2.imwrite(str(folder / f"i{number}.png"), image)
        cv2.imwrite(str(folder / f"m{number}.png"), mask)


@pytest.fixture
def root(tmp_path) -> Path:
    """Dataset whose images lie in a folder elsewhere that it links to."""
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    write_images(elsewhere, 14)
    rows = [f"p{number},{split},pics/i{number}.png,pics/m{number}.png" for number, split in enumerate(SPLITS)]
    (data / "manifest.csv").write_text("subject,split,image,mask\n" + "\n".join(rows) + "\n")
    (data / "classes.csv").write_text("value,name\n1,lv\n")
    (data / "pics").symlink_to(elsewhere)
    return data


def settings(**changes: object) -> DataSettings:
    return DataSettings(layout=Manifest(), image_size=24, **changes)


def test_masks_corrected_behind_a_link_make_another_store(root, tmp_path):
    before = prepare(settings(), root, tmp_path / "s", b"key")
    write_images(tmp_path / "elsewhere", 4)
    after = prepare(settings(), root, tmp_path / "s", b"key")
    assert after.fingerprint != before.fingerprint
    np.testing.assert_array_equal(after.masks[:, 4:12, 4:12], 1)
    (root / "pics").unlink()
    shutil.copytree(tmp_path / "elsewhere", root / "pics")
    assert prepare(settings(), root, tmp_path / "s", b"key").fingerprint == after.fingerprint


def test_a_link_to_another_folder_makes_another_state(tmp_path):
    root = tmp_path / "root"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        (root / name / "x.png").write_bytes(name.encode())
    states = []
    for target in ("a", "b"):
        (root / "z").unlink(missing_ok=True)
        (root / "z").symlink_to(root / target)
        states.append(dataset_files(root, "inside").state)
    assert states[0] != states[1]


def test_links_out_of_the_folder_are_noted_or_refused_by_name(root, tmp_path):
    report = check(settings(), root)
    assert report.refusal == ""
    (note,) = [issue for issue in report.issues if issue.kind == "link out of the dataset"]
    assert (note.file, note.severity) == ("pics", "note")
    assert note.message.endswith(f"to {tmp_path / 'elsewhere'}; it is followed")
    (root / "a_broken.png").symlink_to(tmp_path / "nowhere.png")
    (note,) = [issue for issue in check(settings(), root).issues if issue.kind == "link out of the dataset"]
    assert note.message.split(" (")[0].endswith(f"to {tmp_path / 'nowhere.png'}; there is no such file")
    for refuse in (check, lambda *given: prepare(*given, tmp_path / "s", b"key")):
        with pytest.raises(DataError, match=r"a link leads out .*pics -> .*elsewhere.* set `links: follow`"):
            refuse(settings(links="inside"), root)


def test_links_inside_the_folder_are_always_followed(root, tmp_path):
    (root / "pics").unlink()
    shutil.copytree(tmp_path / "elsewhere", root / "real")
    (root / "pics").symlink_to("real")
    report = check(settings(links="inside"), root)
    assert (report.refusal, [issue.kind for issue in report.issues if issue.kind != "spacing missing"]) == ("", [])


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["manifest.csv", "classes.csv", "pics/i0.png", "pics/m1.png", "unrelated"])
def test_a_fifo_is_refused_by_name_and_not_waited_for(root, tmp_path, name):
    (root / name).unlink(missing_ok=True)
    os.mkfifo(root / name)
    for refuse in (check, lambda *given: prepare(*given, tmp_path / "s", b"key")):
        with pytest.raises(DataError, match=rf"expected regular files only \(found a FIFO at {name}\)"):
            refuse(settings(), root)


@pytest.mark.timeout(30)
def test_a_link_to_a_device_is_refused(root):
    (root / "zero.png").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"found a device at zero\.png"):
        check(settings(), root)
