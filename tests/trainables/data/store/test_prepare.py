import dataclasses
import multiprocessing
import os
import shutil
from pathlib import Path
from unittest.mock import create_autospec

import cv2
import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.layouts.camus import Camus
from trainables.data.layouts.echonet import EchoNetDynamic
from trainables.data.layouts.manifest import Manifest
from trainables.data.settings import DataSettings
from trainables.data.store.prepare import dataset_root, prepare
from trainables.phantom import PhantomSettings

SETTINGS = DataSettings(image_size=40, stride=2)
KEY = b"secret"


@pytest.fixture
def root(echonet_root, tmp_path) -> Path:
    copy = tmp_path / "data"
    shutil.copytree(echonet_root, copy)
    return copy


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("storage")


def test_frames_and_masks_are_the_readers_resized(echonet_root, storage):
    store = prepare(SETTINGS, echonet_root, storage, KEY)
    layout = EchoNetDynamic()
    records = sorted(layout.scan(echonet_root).records, key=lambda record: record.subject)
    assert store.images.shape[1:] == (1, 40, 40)
    for number, record in enumerate(records):
        pixels = layout.read(echonet_root, record)
        rows = np.flatnonzero(store.index["sequence"] == number)
        ends = sorted(record.labelled)
        wanted = sorted({*ends, *range(ends[0] + 2, ends[1], 2)})
        assert store.index["frame"][rows].tolist() == wanted
        for row in rows:
            frame = int(store.index["frame"][row])
            expected = cv2.resize(pixels.images[frame, 0], (40, 40), interpolation=cv2.INTER_AREA)
            np.testing.assert_array_equal(store.images[row, 0], expected)
            place = store.index["mask"][row]
            assert (place >= 0) == (frame in pixels.masks)
            if place >= 0:
                assert np.abs(store.masks[place].mean() - pixels.masks[frame].mean()) < 0.01
                assert ["", "ED", "ES"][store.index["phase"][row]] == record.labelled[frame]
        assert store.clinical["ef"][number] == record.clinical["ef"]
    assert np.isnan(store.index["spacing"]).all()


def test_mean_and_deviation_are_of_the_train_split(echonet_root, storage):
    store = prepare(SETTINGS, echonet_root, storage, KEY)
    values = store.images[store.rows("train")].astype(np.float64) / 255
    assert store.mean == pytest.approx([values.mean()], abs=1e-12)
    assert store.std == pytest.approx([values.std()], abs=1e-12)


def test_fingerprint_is_of_the_content_alone(echonet_root, root, storage, tmp_path):
    store = prepare(SETTINGS, echonet_root, storage, KEY)
    elsewhere = prepare(SETTINGS, root, tmp_path / "other", b"another key", workers=2)
    assert elsewhere.fingerprint == store.fingerprint
    assert elsewhere.subjects != store.subjects
    np.testing.assert_array_equal(elsewhere.images, store.images)
    assert elsewhere.index.tobytes() == store.index.tobytes()
    for change in ({"image_size": 41}, {"stride": 3}, {"split": "fractions"}):
        other = prepare(dataclasses.replace(SETTINGS, **change), echonet_root, storage, KEY)
        assert other.fingerprint != store.fingerprint, change


def test_a_changed_file_makes_another_store(root, tmp_path):
    before = prepare(SETTINGS, root, tmp_path / "s", KEY)
    table = root / "FileList.csv"
    table.write_text(table.read_text().replace("TRAIN", "VAL", 1))
    after = prepare(SETTINGS, root, tmp_path / "s", KEY)
    assert after.folder != before.folder
    assert after.fingerprint != before.fingerprint


def test_no_identifier_is_stored_anywhere(root, tmp_path):
    torn, *_ = sorted((root / "Videos").iterdir())
    names = [path.stem.encode() for path in (root / "Videos").iterdir()]
    torn.write_bytes(torn.read_bytes()[:5000])
    settings = dataclasses.replace(SETTINGS, on_error="skip", tolerance=0.5)
    store = prepare(settings, root, tmp_path / "s", KEY)
    assert store.issues == {"unreadable sequence": 1}
    assert len(set(store.subjects)) == 7
    for path in (tmp_path / "s").rglob("*"):
        assert not any(name in path.name.encode() for name in names)
        if path.is_file():
            content = path.read_bytes()
            assert not any(name in content for name in names)


def _prepare(root: Path, storage: Path, gate, results) -> None:
    gate.wait()
    store = prepare(SETTINGS, root, storage, KEY, lambda *step: results.put(os.getpid()))
    results.put((store.fingerprint, store.images.shape, int(store.images.sum())))


def test_two_processes_at_once_build_one_store(echonet_root, tmp_path):
    context = multiprocessing.get_context("spawn")
    gate, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_prepare, args=(echonet_root, tmp_path, gate, results)) for _ in range(2)]
    for process in processes:
        process.start()
    seen = [results.get(timeout=60) for _ in range(8 + 2)]  # one progress step a video, from one process only
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert results.empty()
    builders = {item for item in seen if isinstance(item, int)}
    stores = {item for item in seen if isinstance(item, tuple)}
    assert (len(builders), len(stores)) == (1, 1)
    assert [path.name.startswith(".") for path in (tmp_path / "frames").iterdir()].count(False) == 1


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("at", [1, 3, 7])
def test_a_killed_preparation_resumes(root, tmp_path, at, monkeypatch):
    torn = sorted((root / "Videos").iterdir())[2]
    torn.write_bytes(torn.read_bytes()[:5000])
    settings = dataclasses.replace(SETTINGS, on_error="skip", tolerance=0.5)
    store = prepare(settings, root, tmp_path / "whole", KEY)

    def killed(what: str, done: int, total: int) -> None:
        if done == at:
            raise _Killed

    with pytest.raises(_Killed):
        prepare(settings, root, tmp_path / "s", KEY, killed)
    for path in (tmp_path / "s").rglob("*.npy"):
        with path.open("ab") as file:
            file.write(b"torn")  # what a process may write without having it synced
    read = create_autospec(EchoNetDynamic.read, side_effect=EchoNetDynamic.read)
    monkeypatch.setattr(EchoNetDynamic, "read", read)
    resumed = prepare(settings, root, tmp_path / "s", KEY)
    assert read.call_count == 8 - at + (at > 2)  # a sequence with a fault is read again for its message
    assert resumed.fingerprint == store.fingerprint
    assert resumed.issues == store.issues == {"unreadable sequence": 1}
    assert (resumed.mean, resumed.std) == (store.mean, store.std)
    np.testing.assert_array_equal(resumed.images, store.images)


def test_structures_are_chosen_by_name(camus_root, tmp_path):
    every = prepare(DataSettings(layout=Camus(), image_size=32), camus_root, tmp_path, KEY)
    some = prepare(DataSettings(layout=Camus(), image_size=32, structures=("la", "lv")), camus_root, tmp_path, KEY)
    assert some.classes == ("background", "la", "lv")
    np.testing.assert_array_equal(some.masks == 1, every.masks == 3)
    np.testing.assert_array_equal(some.masks == 2, every.masks == 1)


def test_pixels_of_a_given_width(camus_root, tmp_path):
    settings = DataSettings(layout=Camus(), image_size=32, pixel_mm=2.5)
    store = prepare(settings, camus_root, tmp_path, KEY)
    np.testing.assert_allclose(store.index["spacing"], 2.5, rtol=0.02)


def test_pixels_of_a_given_width_need_the_spacing(echonet_root, tmp_path):
    with pytest.raises(DataError, match=r"8 losses in 8 sequences.*\n.*`pixel_mm` is set, but the spacing is unknown"):
        prepare(dataclasses.replace(SETTINGS, pixel_mm=1.0), echonet_root, tmp_path, KEY)


def test_a_missing_val_split_is_taken_from_the_training_subjects(camus_root, tmp_path):
    root = tmp_path / "camus"
    shutil.copytree(camus_root, root)
    lists = root / "database_split"
    training, validation = lists / "subgroup_training.txt", lists / "subgroup_validation.txt"
    training.write_text(training.read_text() + validation.read_text())
    validation.write_text("")
    before = prepare(DataSettings(layout=Camus(), image_size=32), camus_root, tmp_path / "s", KEY)
    store = prepare(DataSettings(layout=Camus(), image_size=32), root, tmp_path / "s", KEY)
    assert store.split_by == "official, val by fractions"
    assert [len(store.split_subjects(split)) for split in ("train", "val", "test")] == [2, 1, 1]
    names = [{store.subjects[i] for i in chosen.split_subjects("test")} for chosen in (before, store)]
    assert names[0] == names[1]


def test_what_a_killed_process_left_half_written_is_not_trusted(echonet_root, tmp_path):
    store = prepare(SETTINGS, echonet_root, tmp_path, KEY)
    part = store.folder.with_name(f".{store.folder.name}.part")
    shutil.rmtree(store.folder)
    part.mkdir()
    (part / "images.npy").write_bytes(b"half")
    assert prepare(SETTINGS, echonet_root, tmp_path, KEY).fingerprint == store.fingerprint
    assert not part.exists()


def test_an_unreadable_video_stops_with_one_message_that_names_it(root, tmp_path):
    torn = sorted((root / "Videos").iterdir())[3]
    torn.write_bytes(torn.read_bytes()[:5000])
    with pytest.raises(
        DataError, match=rf"1 damaged of 8 sequences\n  Videos/{torn.name}: cannot be decoded"
    ) as caught:
        prepare(SETTINGS, root, tmp_path / "s", KEY)
    assert "on_error: skip" in str(caught.value)
    assert not any(path.is_dir() for path in (tmp_path / "s" / "frames").iterdir())


def test_losses_above_the_tolerance_stop(root, tmp_path):
    sorted((root / "Videos").iterdir())[0].unlink()
    with pytest.raises(DataError, match="1 losses in 8 sequences"):
        prepare(SETTINGS, root, tmp_path / "s", KEY)
    store = prepare(dataclasses.replace(SETTINGS, tolerance=0.2), root, tmp_path / "s", KEY)
    assert store.issues == {"missing video": 1}


def test_missing_dataset_and_unknown_names_are_clear(echonet_root, tmp_path):
    with pytest.raises(DataError, match=r"nowhere: the folder does not exist \(expected EchoNet-Dynamic\)"):
        prepare(SETTINGS, tmp_path / "nowhere", tmp_path, KEY)
    with pytest.raises(DataError, match=r"no folder\. Fix: set its"):
        prepare(SETTINGS, None, tmp_path, KEY)
    with pytest.raises(DataError, match=r"the masks have no structure 'la'.* 'lv'"):
        prepare(dataclasses.replace(SETTINGS, structures=("la",)), echonet_root, tmp_path, KEY)
    with pytest.raises(DataError, match="no sequence of view '2CH'"):
        prepare(dataclasses.replace(SETTINGS, views=("2CH",)), echonet_root, tmp_path, KEY)


def test_a_phantom_of_another_version_is_generated_anew(tmp_path, monkeypatch):
    settings = DataSettings(layout=Camus(), phantom=PhantomSettings(subjects=3, frames=8, size=32), image_size=16)
    before = dataset_root(settings, None, tmp_path)
    assert dataset_root(settings, None, tmp_path) == before
    monkeypatch.setattr("trainables.data.store.prepare.PHANTOM_VERSION", -1)
    assert dataset_root(settings, None, tmp_path) != before


def test_a_phantom_is_generated_once_in_its_layout(tmp_path):
    phantom = PhantomSettings(subjects=4, frames=8, size=48, fractions=(0.5, 0.25, 0.25))
    steps: list[str] = []
    settings = DataSettings(layout=Camus(), phantom=phantom, image_size=24, views=("4CH",))
    store = prepare(settings, None, tmp_path, KEY, lambda what, done, total: steps.append(what))
    assert (store.views, store.classes) == (("4CH",), ("background", "lv", "myocardium", "la"))
    assert steps == ["generating phantom"] * 4 + ["decoding"] * 4
    assert prepare(settings, None, tmp_path, KEY, lambda *step: steps.append("again")).folder == store.folder
    assert len(steps) == 8
    spacing = store.index["spacing"]
    assert (spacing[:, 0] < spacing[:, 1]).all()  # 43 rows and 48 columns became 24 of each
    np.testing.assert_allclose(spacing[:, 0] / spacing[:, 1], 43 / 48, rtol=1e-6)


def test_the_real_sample_is_split_by_fractions_and_says_so(real_camus, tmp_path):
    store = prepare(DataSettings(layout=Camus(), image_size=64), real_camus, tmp_path, KEY)
    assert store.split_by == "fractions"
    assert store.issues["no complete official split"] == 1
    assert [len(store.split_subjects(split)) for split in ("train", "val", "test")] == [1, 1, 1]
    assert len(store) == 6
    assert len(store.one_per_sequence("train", 0)(0)) == 1
    size = {"row": (389, 292, 584), "column": (549, 355, 708)}
    expected = 0.308 * np.array([size["row"], size["column"]]).T / 64
    np.testing.assert_allclose(store.index["spacing"][::2], expected, rtol=1e-5)
    with pytest.raises(DataError, match=r"official split leaves test empty\. Fix: set `split: fractions`"):
        prepare(DataSettings(layout=Camus(), image_size=64, split="official"), real_camus, tmp_path, KEY)


def test_an_image_whose_mask_is_damaged_stays_for_pretraining(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    rows = []
    for number in range(6):
        split = ("train", "train", "train", "train", "val", "test")[number]
        cv2.imwrite(str(root / f"i{number}.png"), np.random.default_rng(number).integers(0, 256, (16, 16), np.uint8))
        cv2.imwrite(str(root / f"m{number}.png"), np.eye(16, dtype=np.uint8))
        rows.append(f"p{number},{split},i{number}.png,m{number}.png\n")
    (root / "m0.png").write_bytes(b"torn")
    cv2.imwrite(str(root / "m1.png"), np.eye(8, dtype=np.uint8))
    (root / "manifest.csv").write_text("subject,split,image,mask\n" + "".join(rows))
    (root / "classes.csv").write_text("value,name\n0,background\n1,line\n")
    settings = DataSettings(layout=Manifest(), image_size=16, on_error="skip", tolerance=0.5)
    store = prepare(settings, root, tmp_path / "s", b"key")
    assert len(store.rows("train")) == 4
    assert len(store.rows("train", labelled=True)) == 2
    assert store.issues["unreadable mask"] == store.issues["mask size differs from the image"] == 1
    with pytest.raises(DataError, match=r"m0\.png: not a readable picture .*skipped: mask"):
        prepare(dataclasses.replace(settings, on_error="stop"), root, tmp_path / "s", b"key")
    with pytest.raises(DataError, match="2 losses in 6 masks"):
        prepare(dataclasses.replace(settings, tolerance=0.1), root, tmp_path / "s", b"key")
