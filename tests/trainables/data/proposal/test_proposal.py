import json
import os

import cv2
import nibabel as nib
import numpy as np
import pytest

from tests.trainables.data.proposal.conftest import SHAPE, disc, grey
from trainables.common.errors import DataError
from trainables.data.layouts.manifest import Manifest
from trainables.data.proposal.proposal import ManifestProposal, propose_manifest
from trainables.data.proposal.rows import classes_text, manifest_text


def decoded(root, proposal: ManifestProposal) -> dict[str, np.ndarray]:
    """Write a proposal and return the class indices of each labelled frame by subject, as the layout reads them."""
    (root / "manifest.csv").write_text(manifest_text(proposal.rows))
    if proposal.labelling.classes:
        (root / "classes.csv").write_text(classes_text(proposal.labelling.classes))
    layout = Manifest()
    listing = layout.scan(root)
    return {
        record.subject: next(iter(layout.read(root, record).masks.values()))
        for record in listing.records
        if record.labelled
    }


def classes(proposal: ManifestProposal) -> list[tuple[int, str, str]]:
    return [(each.value, each.name, each.color) for each in proposal.labelling.classes]


def test_masks_of_0_and_255(write, tmp_path):
    for number in range(3):
        write(f"images/{number}.png", grey(number))
        write(f"masks/{number}.png", disc(column=number))
    proposal = propose_manifest(tmp_path)
    assert classes(proposal) == [(0, "background", ""), (255, "foreground", "")]
    masks = decoded(tmp_path, proposal)
    assert [int(np.flatnonzero(masks[str(number)].any(0))[0]) for number in range(3)] == [0, 1, 2]


def test_several_levels_are_a_class_each(write, tmp_path):
    for number in range(2):
        write(f"{number}.png", grey(number))
        write(f"{number}_gt.png", disc(85) + disc(170, column=6))
    proposal = propose_manifest(tmp_path)
    assert classes(proposal) == [(0, "background", ""), (85, "label_85", ""), (170, "label_170", "")]
    assert any("classes.csv" in note for note in proposal.notes)
    assert set(np.unique(decoded(tmp_path, proposal)["0"])) == {0, 1, 2}


def test_files_of_0_and_1_among_files_of_0_and_255_mean_one_structure(write, tmp_path):
    for number, value in enumerate((1, 255)):
        write(f"{number}.png", grey(number))
        write(f"{number}_mask.png", disc(value))
    masks = decoded(tmp_path, propose_manifest(tmp_path))
    assert (masks["0"] == masks["1"]).all()
    assert masks["0"].max() == 1


def test_colors_take_the_names_of_a_legend(write, tmp_path):
    for number in range(2):
        write(f"images/{number}.png", grey(number))
        mask = np.zeros((*SHAPE, 3), np.uint8)
        mask[3:7, 3:6], mask[8:10, 3:5] = (0, 0, 255), (0, 255, 0)  # OpenCV's order: red, then green
        write(f"masks/{number}.png", mask)
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nbackground,0,0,0\ncyst,0,255,0\ntumour,255,0,0\n")
    proposal = propose_manifest(tmp_path)
    assert classes(proposal) == [(0, "background", "#000000"), (1, "tumour", "#ff0000"), (2, "cyst", "#00ff00")]
    mask = decoded(tmp_path, proposal)["0"]
    assert (mask[4, 4], mask[9, 4], mask[0, 0]) == (1, 2, 0)


def test_without_black_the_commonest_color_is_background(write, tmp_path):
    mask = np.full((*SHAPE, 3), 255, np.uint8)
    mask[3:7, 3:6] = (255, 0, 0)
    write("a1.png", grey())
    write("a1_mask.png", mask)
    proposal = propose_manifest(tmp_path)
    assert classes(proposal) == [(0, "background", "#ffffff"), (1, "label_1", "#0000ff")]
    assert decoded(tmp_path, proposal)["a1"].sum() == 12


def test_a_file_for_each_structure(write, tmp_path):
    for number in range(2):
        write(f"p{number}.png", grey(number))
        write(f"p{number}_lv.png", disc(column=1))  # no word says that it is a mask
        write(f"p{number}_myo.png", disc(column=6))
    proposal = propose_manifest(tmp_path)
    assert proposal.images == 2
    assert proposal.labelling.structures == ("lv", "myo")
    mask = decoded(tmp_path, proposal)["p0"]
    assert (mask[4, 2], mask[4, 7]) == (1, 2)


def test_further_files_of_a_structure_are_merged(write, tmp_path):
    write("b (1).png", grey())
    write("b (1)_mask.png", disc(column=1))
    write("b (1)_mask_1.png", disc(column=6))
    assert decoded(tmp_path, propose_manifest(tmp_path))["b (1)"].sum() == 24


def test_images_of_other_names_are_no_masks_for_that(write, tmp_path):
    for number in range(2):
        write(f"p{number}.png", grey(number))
        write(f"p{number}_zoomed.png", grey(number + 9))
    proposal = propose_manifest(tmp_path)
    assert (proposal.images, proposal.masks) == (4, 0)


@pytest.mark.parametrize("channels", [["T2"], {"0": "T2"}, None, 3])
def test_channels_of_any_form_do_not_stop_the_proposal(write, tmp_path, channels):
    write("imagesTr/a_0000.png", grey())
    write("labelsTr/a.png", disc())
    document = {"channel_names": channels, "labels": {"background": 0, "lesion": 255}}
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    assert classes(propose_manifest(tmp_path))[1:] == [(255, "lesion", "")]


def test_nnunet_names_classes_and_channels(tmp_path):
    nib = pytest.importorskip("nibabel")
    for folder in ("imagesTr", "labelsTr", "imagesTs"):
        (tmp_path / folder).mkdir()
    volume = np.zeros((6, 6, 3), np.int16)
    label = volume.astype(np.uint8)
    label[2, 2, 1] = 2
    for case, folder in (("la_001", "imagesTr"), ("la_002", "imagesTr"), ("la_003", "imagesTs")):
        for channel in range(2):
            nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / folder / f"{case}_{channel:04d}.nii.gz")
        if folder == "imagesTr":
            nib.save(nib.Nifti1Image(label, np.eye(4)), tmp_path / "labelsTr" / f"{case}.nii.gz")
    document = {"channel_names": {"0": "T2", "1": "ADC"}, "labels": {"background": 0, "liver": 1, "tumour": 2}}
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    proposal = propose_manifest(tmp_path)
    assert [name for _, name, _ in classes(proposal)] == ["background", "liver", "tumour"]
    assert {(row.subject, row.view) for row in proposal.rows} == {
        (f"la_00{number}", view) for number in (1, 2, 3) for view in ("T2", "ADC")
    }
    assert sum(bool(row.masks) for row in proposal.rows) == 4
    assert not any(row.split for row in proposal.rows)  # the test images have no masks
    assert set(np.unique(decoded(tmp_path, proposal)["la_001"])) <= {0, 2}


def test_splits_of_folders_are_kept_if_all_have_masks(write, tmp_path):
    for split in ("train", "val", "test"):
        write(f"{split}/images/{split}1.png", grey())
        write(f"{split}/masks/{split}1.png", disc())
    assert {row.split for row in propose_manifest(tmp_path).rows} == {"train", "val", "test"}


def test_masks_that_cannot_be_used_stay_in_the_manifest(write, tmp_path):
    write("images/a.png", grey())
    write("masks/a.png", disc()[:6])
    write("images/b.png", grey(1))
    write("masks/b.jpg", disc())
    write("images/c.png", grey(2))
    write("masks/c.png", disc())
    write("masks/orphan.png", disc())
    proposal = propose_manifest(tmp_path)
    assert dict(proposal.problems) == {
        "masks/a.png": "mask and image differ in size (found 6 x 10, expected 12 x 10)",
        "masks/b.jpg": "JPEG compression changes label numbers (expected PNG, TIFF, BMP or WebP without it)",
    }
    assert dict(proposal.left_out) == {"masks/orphan.png": "mask without an image: no image of this name"}
    assert [bool(row.masks) for row in proposal.rows] == [True, True, True]


def test_masks_of_several_raters_are_refused(write, tmp_path):
    write("a.png", grey())
    for rater in ("anna", "bob"):
        write(f"a_{rater}_mask.png", disc(1) + disc(2, column=6))
    with pytest.raises(DataError, match="names of the masks tell structures apart"):
        propose_manifest(tmp_path)


@pytest.mark.parametrize(("files", "problem"), [((), "no image file"), (("masks/a.png",), "1 masks, expected images")])
def test_a_folder_without_images_is_refused(write, tmp_path, files, problem):
    for file in files:
        write(file, disc())
    with pytest.raises(DataError, match=problem):
        propose_manifest(tmp_path)


def test_masks_named_by_rater_are_refused(write, tmp_path):
    write("a.png", grey())
    for rater in (1, 2):
        write(f"masks_rater{rater}/a.png", disc())
    with pytest.raises(DataError, match=r"several raters \(found rater_1, rater_2\)"):
        propose_manifest(tmp_path)


def test_masks_of_which_none_can_be_used_are_refused(write, tmp_path):
    write("images/a.png", grey())
    write("masks/a.jpg", disc())
    with pytest.raises(DataError, match=r"no mask can be used \(found masks/a.jpg: JPEG compression"):
        propose_manifest(tmp_path)


def test_masks_of_which_none_has_an_image_are_refused(write, tmp_path):
    write("images/a.png", grey())
    write("masks/b.png", disc())
    with pytest.raises(DataError, match=r"no mask has an image of its name \(found masks/b.png: no image"):
        propose_manifest(tmp_path)


def test_a_mask_with_smoothed_edges_is_refused_and_one_of_many_structures_is_not(write, tmp_path):
    sharp = np.zeros((40, 40), np.uint8)
    sharp[8:30, 10:32] = 255
    many = np.zeros((40, 40), np.uint8)
    for number in range(1, 8):
        many[4 * number : 4 * number + 3, 5:35] = number
    for folder, mask in (("soft", cv2.GaussianBlur(sharp, (7, 7), 1.2)), ("sharp", sharp), ("many", many)):
        write(f"{folder}/images/a.png", np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8))
        write(f"{folder}/masks/a.png", mask)
    with pytest.raises(DataError, match=r"smoothed edges \(found \d+ numbers between 0 and 255, all at edges\)"):
        propose_manifest(tmp_path / "soft")
    assert [value for value, *_ in classes(propose_manifest(tmp_path / "sharp"))] == [0, 255]
    assert [value for value, *_ in classes(propose_manifest(tmp_path / "many"))] == list(range(8))


def test_negative_label_numbers_name_the_mask(tmp_path):
    labels = np.zeros((16, 16, 3), np.int16)
    labels[2:5, 2:5], labels[8:12, 8:12] = -1, -2
    for folder, name, values in (("images", "v", np.ones_like(labels)), ("masks", "v", labels)):
        (tmp_path / folder).mkdir()
        nib.save(nib.Nifti1Image(values, np.diag([1.0, 1.0, 5.0, 1.0])), tmp_path / folder / f"{name}.nii.gz")
    with pytest.raises(DataError, match=r"masks/v\.nii\.gz: negative label numbers \(found -2, -1, expected 0 or more"):
        propose_manifest(tmp_path)


def test_a_name_that_is_no_text_is_left_out_and_shown_in_letters(write, tmp_path):
    for name in ("a", "b"):
        write(f"images/{name}.png", grey())
        write(f"masks/{name}.png", disc())
    for folder in ("images", "masks"):
        (tmp_path / folder / "b.png").rename(tmp_path / folder / os.fsdecode(b"b\xff.png"))
    proposal = propose_manifest(tmp_path)
    assert [row.image for row in proposal.rows] == ["images/a.png"]
    assert ("images/b\\udcff.png", "its name is not UTF-8. Fix: rename it") in proposal.left_out


def test_a_separator_in_a_files_name_separates_nothing(write, tmp_path):
    write("images/a|b.png", grey())
    write("masks/a|b.png", disc())
    assert decoded(tmp_path, propose_manifest(tmp_path))["a|b"].any()


@pytest.mark.parametrize(("word", "doubt"), [("frame_", True), ("slice", True), ("case", False)])
def test_names_that_only_count_frames_are_a_doubt_about_patients(write, tmp_path, word, doubt):
    for number in range(6):
        write(f"images/{word}{number:03d}.png", grey(number))
        write(f"masks/{word}{number:03d}.png", disc())
    notes = propose_manifest(tmp_path).notes
    assert any("Fix: if they are of one patient or few, set --subject-pattern" in note for note in notes) is doubt


def test_a_series_of_dicom_files_beside_a_mask_volume_is_refused_with_what_to_do(write, tmp_path):
    write("p01/liver_mask.png", disc())
    (tmp_path / "p01" / "ct").mkdir()
    for number in range(3):  # refused by their names; nothing is read
        (tmp_path / "p01" / "ct" / f"{number}.dcm").write_bytes(b"")
    expected = r"\(3 in p01/ct\)\. Fix: convert each series to one file, such as p01/ct\.nii\.gz"
    with pytest.raises(DataError, match=expected):
        propose_manifest(tmp_path)


def test_too_many_label_numbers_name_the_file(write, tmp_path):
    for number in range(2):
        write(f"images/{number}.png", grey(number))
        mask = disc()
        mask.flat[: 40 + 5 * number] = np.arange(60 * number, 60 * number + 40 + 5 * number)
        write(f"masks/{number}.png", mask)
    with pytest.raises(DataError, match=r"too many label numbers \(found .* most in masks/1.png, expected at most 64"):
        propose_manifest(tmp_path)


def test_images_without_masks_are_counted(write, tmp_path):
    for number in range(3):
        write(f"images/{number}.png", grey(number))
    write("masks/0.png", disc())
    notes = propose_manifest(tmp_path).notes
    assert "2 of 3 images have no mask and are used for pretraining only" in notes
