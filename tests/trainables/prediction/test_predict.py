"""Images into a folder of masks: in their own geometry and format, resumable, one bad file left out."""

import json
import sys
from pathlib import Path

import av
import cv2
import nibabel as nib
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from images import DATA, PREPROCESSING, Threshold, disc, ensemble, folder, write_nifti, write_png

from trainables.data.layouts.acdc import Acdc
from trainables.data.layouts.manifest import Manifest
from trainables.data.readers.dicom_segmentation import read_segmentation
from trainables.data.readers.metaimage import read_metaimage
from trainables.data.readers.metaimage_writer import write_metaimage
from trainables.data.settings import DataSettings
from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.prediction.predict import Predictor
from trainables.prediction.results import Outputs
from trainables.prediction.sources import find_sources

OBLIQUE = np.array([[1.1, 0.3, 0.2, -40.0], [-0.35, 1.2, 0.1, 25.0], [0.1, -0.15, 6.0, 10.0], [0, 0, 0, 1]])


def predict(out, *arguments, data=DATA, networks=None, **outputs):
    found = find_sources([str(each) for each in arguments], data, PREPROCESSING)
    predictor = Predictor(networks or ensemble(batch=4), PREPROCESSING, folder(out), Outputs(**outputs), apical=True)
    return predictor.run(found.sources), found


def test_a_picture_has_a_mask_of_its_own_size(tmp_path):
    image = disc((90, 70), 25)
    prediction, _ = predict(tmp_path / "out", write_png(tmp_path / "a.png", image))
    mask = cv2.imread(str(tmp_path / "out/masks/a.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == image.shape
    assert set(np.unique(mask)) == {0, 1}
    assert 2 * (mask * (image > 0)).sum() / (mask.sum() + (image > 0).sum()) > 0.97
    assert prediction.records["a.png"]["measures"]["areas"] == [[float(mask.sum())]]


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_an_oblique_volume_keeps_its_affine_to_the_bit(tmp_path, suffix):
    array = np.zeros((40, 30, 5), np.int16)
    array[10:25, 8:20, 1:4] = 900
    path = write_nifti(tmp_path / f"v{suffix}", array, OBLIQUE)
    predict(tmp_path / "out", path, data=DataSettings(layout=Manifest()), probabilities=True)
    source, mask = nib.load(path), nib.load(tmp_path / f"out/masks/v{suffix}")
    np.testing.assert_array_equal(mask.affine, source.affine)
    for code in ("sform_code", "qform_code", "pixdim"):
        np.testing.assert_array_equal(mask.header[code], source.header[code])
    np.testing.assert_array_equal(mask.get_sform(), source.get_sform())
    np.testing.assert_array_equal(mask.get_qform(), source.get_qform())
    assert (mask.shape, mask.get_data_dtype()) == (array.shape, np.uint8)
    assert b"Jane" not in mask.header.binaryblock
    overlap = np.asarray(mask.dataobj)[array > 0]
    assert overlap.mean() > 0.9
    assert np.asarray(mask.dataobj).sum() < 1.2 * (array > 0).sum()
    probabilities = nib.load(tmp_path / f"out/probabilities/v{suffix}")
    np.testing.assert_array_equal(probabilities.affine, source.affine)
    values = np.asarray(probabilities.dataobj)
    np.testing.assert_allclose(values.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(values.argmax(-1), np.asarray(mask.dataobj))


def test_a_cine_of_volumes_gives_a_mask_of_four_axes(tmp_path):
    array = np.random.default_rng(0).integers(0, 50, (24, 20, 3, 4)).astype(np.int16)
    array[8:16, 6:14] = 900
    path = write_nifti(tmp_path / "c.nii.gz", array, np.diag([1.5, 1.5, 8, 1]))
    prediction, _ = predict(tmp_path / "out", path, data=DataSettings(layout=Acdc(), image_size=32))
    mask = nib.load(tmp_path / "out/masks/c.nii.gz")
    assert mask.shape == array.shape
    assert np.asarray(mask.dataobj)[9:15, 7:13].all()
    measures = prediction.records["c.nii.gz"]["measures"]
    counts = np.asarray(mask.dataobj).sum((0, 1, 2))
    np.testing.assert_allclose(np.array(measures["volumes"])[:, 0], counts * 1.5 * 1.5 * 8 / 1000)


def test_metaimages_keep_offset_and_direction(tmp_path):
    array = np.zeros((20, 30, 4), np.uint8)
    array[5:15, 5:20] = 255
    direction = ((0.8, 0.6, 0.0), (-0.6, 0.8, 0.0), (0.0, 0.0, 1.0))
    write_metaimage(tmp_path / "m.mha", array, (0.7, 1 / 3, 5.0), offset=(1.5, -2 / 3, 9.0), direction=direction)
    predict(tmp_path / "out", tmp_path / "m.mha", data=DataSettings(layout=Manifest()))
    source, mask = read_metaimage(tmp_path / "m.mha"), read_metaimage(tmp_path / "out/masks/m.mha")
    for found, expected in zip(mask[1:], source[1:], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-8)
    assert mask.array.shape == array.shape
    assert (mask.array == (array > 0)).mean() > 0.95


def test_arrays_keep_their_axes(tmp_path):
    array = np.zeros((20, 5, 30), np.uint8)
    array[5:15, :, 5:20] = 255
    np.save(tmp_path / "a.npy", array)
    predict(tmp_path / "out", tmp_path / "a.npy", data=DataSettings(layout=Manifest(slice_axis=1)))
    assert (np.load(tmp_path / "out/masks/a.npy") == (array > 0)).mean() > 0.95


def test_a_video_has_masks_of_all_frames_and_an_overlay(tmp_path):
    PHANTOMS["echonet"].write(tmp_path / "data", PhantomSettings(subjects=4, frames=8, size=64), None)
    video = sorted((tmp_path / "data/Videos").iterdir())[0]
    prediction, _ = predict(tmp_path / "out", video)
    stem = video.stem
    mask = nib.load(tmp_path / f"out/masks/{stem}.nii.gz")
    with av.open(str(video)) as one, av.open(str(tmp_path / f"out/overlays/{stem}.avi")) as other:
        frames = [len(list(each.decode(video=0))) for each in (one, other)]
        assert one.streams.video[0].average_rate == other.streams.video[0].average_rate
    assert frames == [mask.shape[2]] * 2
    measures = prediction.records[video.name]["measures"]
    assert (len(measures["areas"]), len(measures["smoothness"])) == (frames[0], 1)


def test_a_folder_of_dicom_slices_lies_where_the_slices_do_as_nifti_and_as_segmentation(tmp_path):
    layout = PHANTOMS["chaos"].layout()
    PHANTOMS["chaos"].write(tmp_path / "data", PhantomSettings(subjects=4, frames=8, size=32), None)
    record = layout.scan(tmp_path / "data").records[0]
    stack = tmp_path / "data" / record.files["image"]
    data = DataSettings(layout=layout, image_size=32)
    prediction, _ = predict(tmp_path / "out", stack, data=data)
    planes = layout.read(tmp_path / "data", record).planes
    mask = nib.load(tmp_path / f"out/masks/{stack.name}.nii.gz")
    for number in (0, len(planes) - 1):
        np.testing.assert_allclose((mask.affine @ [0, 0, number, 1])[:3] * [-1, -1, 1], planes[number, 0], atol=1e-3)
        corner = planes[number, 0] + 4 * planes[number, 1] + 7 * planes[number, 2]
        np.testing.assert_allclose((mask.affine @ [7, 4, number, 1])[:3] * [-1, -1, 1], corner, atol=1e-3)
    assert mask.shape[2] == len(planes)
    assert prediction.records[stack.name]["measures"]["volumes"][0][0] > 0
    assert not predict(tmp_path / "seg", stack, data=data, dicom_seg=True)[0].failed
    labels, positions = read_segmentation(tmp_path / f"seg/masks/{stack.name}.dcm")
    found = np.asarray(mask.dataobj)
    for image, plane in zip(labels, positions, strict=True):
        number = int(np.argmin(np.linalg.norm(planes[:, 0] - plane[0], axis=1)))
        np.testing.assert_array_equal(image, found[:, :, number].T)
    assert labels.any()


def test_a_bad_file_is_left_out_and_named(tmp_path):
    for number in range(6):
        write_png(tmp_path / f"in/{number}.png", disc((40, 40), 10 + number))
    (tmp_path / "in/3.png").write_bytes(b"nothing")
    (tmp_path / "in/notes.txt").write_text("")
    prediction, found = predict(tmp_path / "out", tmp_path / "in")
    assert list(prediction.records) == ["0.png", "1.png", "2.png", "4.png", "5.png"]
    assert [each.name for each in prediction.failed] == ["3.png"]
    assert "3.png" in prediction.failed[0].reason
    assert (prediction.frames, prediction.skipped, found.ignored) == (5, 0, 1)


def test_batches_cross_files_and_change_nothing(tmp_path):
    for number in range(7):
        write_png(tmp_path / f"in/{number}.png", disc((30 + number, 50), 9 + number))
    for batch in (1, 3, 16):
        predict(
            tmp_path / str(batch), tmp_path / "in", networks=ensemble(Threshold(0.4, 3.0), Threshold(), batch=batch)
        )
    for number in range(7):
        masks = [(tmp_path / f"{batch}/masks/{number}.png").read_bytes() for batch in (1, 3, 16)]
        assert masks[0] == masks[1] == masks[2]


def test_complete_images_are_skipped_and_others_made_again(tmp_path):
    for number in range(5):
        write_png(tmp_path / f"in/{number}.png", disc((40, 40), 10 + number))
    first, _ = predict(tmp_path / "out", tmp_path / "in")
    masks, journal = tmp_path / "out/masks", tmp_path / "out/records.jsonl"
    (masks / "0.png").unlink()  # lost
    (masks / "1.png").write_bytes(b"torn")  # of another size
    write_png(tmp_path / "in/2.png", disc((40, 40), 5))  # changed
    lines = {json.loads(line)["name"]: line for line in journal.read_text().splitlines()}
    torn = lines.pop("3.png")
    journal.write_text("\n".join([*lines.values(), torn[:-20]]))  # as a killed run leaves it
    again, _ = predict(tmp_path / "out", tmp_path / "in")
    assert (again.skipped, again.frames) == (1, 4)
    assert again.records["4.png"] == json.loads(lines["4.png"])
    added = journal.read_text().splitlines()[-4:]
    assert {json.loads(line)["name"] for line in added} == {f"{number}.png" for number in range(4)}
    assert predict(tmp_path / "out", tmp_path / "in")[0].skipped == 5
    assert {**first.records, "2.png": 0} == {**again.records, "2.png": 0}
    other = Predictor(ensemble(batch=4), PREPROCESSING, folder(tmp_path / "out", "other weights"))
    assert other.run(find_sources([str(tmp_path / "in")], DATA, PREPROCESSING).sources).skipped == 0


def test_networks_over_time_refuse_volumes_by_name(tmp_path):
    write_nifti(tmp_path / "v.nii.gz", np.ones((16, 16, 3), np.int16), np.diag([1, 1, 8, 1]))
    data = DataSettings(layout=Manifest())
    prediction, _ = predict(tmp_path / "out", tmp_path / "v.nii.gz", data=data, networks=ensemble(frames=8))
    assert "sequences of frames over time" in prediction.failed[0].reason


def test_other_channels_and_an_unknown_spacing_are_named(tmp_path):
    PHANTOMS["decathlon_prostate"].write(tmp_path / "d", PhantomSettings(subjects=4, frames=8, size=32), None)
    layout = PHANTOMS["decathlon_prostate"].layout()
    prediction, _ = predict(tmp_path / "out", f"decathlon={tmp_path / 'd'}", data=DataSettings(layout=layout))
    assert "found 2 channels, expected 1 (grey)" in prediction.failed[0].reason
    assert not prediction.records


@pytest.mark.parametrize("form", ["camus", "manifest"])
def test_a_dataset_has_masks_named_after_its_files_and_no_reference_is_read(tmp_path, form):
    phantom = PHANTOMS[form]
    phantom.write(tmp_path / "d", PhantomSettings(subjects=4, frames=8, size=32), None)
    for path in (tmp_path / "d").rglob("*"):
        if "_gt" in path.name or "mask" in path.name:
            path.write_bytes(b"damaged")
    prediction, found = predict(
        tmp_path / "out", f"{form}={tmp_path / 'd'}", data=DataSettings(layout=phantom.layout())
    )
    assert not prediction.failed
    assert len(prediction.records) == len(found.sources) > 3
    for source in found.sources:
        assert source.path.relative_to(tmp_path / "d").as_posix().startswith(source.output)
    written = [path for path in (tmp_path / "out/masks").rglob("*") if path.is_file()]
    assert len(written) >= len(found.sources)
