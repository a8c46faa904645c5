"""An image outside of its dataset is read as in it, and its frames go back into its file."""

from dataclasses import replace

import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.layouts.camus import Camus
from trainables.data.layouts.chaos import Chaos
from trainables.data.layouts.decathlon import Decathlon
from trainables.data.layouts.manifest import Manifest
from trainables.data.readers.grey import to_gray
from trainables.data.readers.metaimage import read_metaimage
from trainables.data.readers.nifti import read_nifti
from trainables.phantom import PHANTOMS, PhantomSettings

FORMS = sorted(set(PHANTOMS) - {"cardiac_dicom"})  # it has no masks, so that no network is trained on it


@pytest.fixture(scope="module", params=FORMS)
def dataset(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    PHANTOMS[request.param].write(root, PhantomSettings(subjects=4, frames=8, size=32), None)
    return PHANTOMS[request.param].layout(), root


def unmasked(record):
    files = {role: file for role, file in record.files.items() if not role.startswith("mask")}
    return replace(record, labelled={}, outlines={}, files=files)


def test_an_image_is_read_alone_as_in_its_dataset(dataset):
    layout, root = dataset
    compared = 0
    for record in map(unmasked, layout.scan(root).records):
        files = layout.frame_files(record) or list(
            {record.files.get(r) for r in ("image", "sequence", "video")} - {None}
        )
        expected = layout.read(root, record)
        found = []
        for file in files:
            assert layout.takes(root / file)
            parts = layout.records_of(root / file)
            part = parts[record.timepoint] if len(parts) > 1 else parts[0]
            if part.stack != record.stack and layout.read((root / file).parent, part).images.shape[0] > 1:
                break  # one moment of a single-slice cine, which alone is read as a whole
            assert part.spacing in (record.spacing, None)  # a manifest may know it, and a picture not
            found.append(layout.read((root / file).parent, part).images)
        else:
            np.testing.assert_array_equal(np.concatenate(found), expected.images)
            compared += 1
    assert compared > 3


def test_frames_go_back_into_the_array_of_their_file(dataset):
    layout, root = dataset
    checked = 0
    for record in map(unmasked, layout.scan(root).records):
        grid = layout.grid(root, record)
        if grid is None:
            continue
        images = layout.read(root, record).images[:, 0]
        path = root / (record.files.get("sequence") or record.files["image"])
        array = read_metaimage(path).array if path.suffix == ".mhd" else read_nifti(path)[0]
        array = array[..., 0] if isinstance(layout, Decathlon) and array.ndim == 4 else array
        array = array[..., record.timepoint] if array.ndim == 4 and record.stack else array
        levels = to_gray(array.astype(np.float32), display=layout.grey == "display")
        if array.dtype == np.uint8 and layout.grey != "stretched":
            levels = array
        frames = images.reshape(-1, grid.slices, *images.shape[1:])
        back = grid.voxels(frames)
        np.testing.assert_array_equal(back[..., 0] if back.ndim > levels.ndim else back, levels)
        checked += 1
    assert checked or layout.title in ("EchoNet-Dynamic", "CHAOS (MR)", Manifest.title)


def test_an_image_outside_of_a_task_has_all_its_channels(tmp_path):
    PHANTOMS["decathlon_prostate"].write(tmp_path, PhantomSettings(subjects=4, frames=8, size=32), None)
    layout = Decathlon()
    record = layout.scan(tmp_path).records[0]
    expected = layout.read(tmp_path, unmasked(record)).images
    moved = tmp_path / "else" / "where" / "a.nii.gz"
    moved.parent.mkdir(parents=True)
    (tmp_path / record.files["image"]).rename(moved)
    (alone,) = layout.records_of(moved)
    np.testing.assert_array_equal(layout.read(moved.parent, alone).images, expected)


def test_a_folder_of_slices_is_one_image_and_its_files_are_none(tmp_path):
    PHANTOMS["chaos"].write(tmp_path, PhantomSettings(subjects=4, frames=8, size=32), None)
    folder = tmp_path / Chaos().scan(tmp_path).records[0].files["image"]
    assert Chaos().takes(folder)
    assert not Chaos().takes(folder.parent.parent)
    assert not Chaos().takes(next(folder.iterdir()))


@pytest.mark.parametrize("layout", [Camus(), Decathlon(), Manifest()], ids=lambda each: type(each).__name__)
def test_a_damaged_image_is_an_error_that_names_it(layout, tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a\.nii\.gz"):
        layout.records_of(tmp_path / "a.nii.gz")
