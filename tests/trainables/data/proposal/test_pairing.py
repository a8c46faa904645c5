import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.proposal.file_names import parse_path, split_words
from trainables.data.proposal.pairing import pair_masks


def paired(*paths: str, channels: bool = False) -> tuple[dict[str, list[tuple[str, str, int | None]]], dict[str, str]]:
    """Return (mask, structure, frame) by image, and the reason by mask without an image."""
    files = [parse_path(path, channels=channels) for path in paths]
    images, unpaired = pair_masks(
        [file for file in files if not file.is_mask], [file for file in files if file.is_mask]
    )
    found = {
        image.file.path: [(mask.file.path, mask.structure, mask.frame) for mask in image.masks] for image in images
    }
    return found, {file.path: reason for file, reason in unpaired}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/001.png", "masks/001.png"),
        ("img_001.png", "img_001_mask.png"),
        ("image_001.png", "mask_001.png"),
        ("Images/Case-7.tif", "Ground Truth/Case-7.bmp"),
        ("imagesTr/la_003.nii.gz", "labelsTr/la_003.nii.gz"),
        ("p01/image.png", "p01/segmentation.png"),
        ("train/images/a1.jpg", "train/labels/a1.png"),
        ("patient01/scan.nii.gz", "patient01/scan-seg.nii.gz"),
        ("JPEGImages/x9.jpg", "SegmentationClass/x9.png"),
        ("benign (1).png", "benign (1)_mask.png"),
        ("BrainT1/s1.mha", "BrainT1/s1_GT.mha"),
        ("ISIC/ISIC_001.jpg", "GT/ISIC_001_segmentation.png"),
        ("Bilder/Müller (1).png", "Masken/Müller (1)_Maske.png"),
        ("dicom/MR_01.dcm", "masks/MR_01.nii.gz"),
    ],
)
def test_common_ways_to_name_a_mask_are_paired(image, mask):
    # A second patient, so that the only image is not found by chance.
    other = [path.translate(str.maketrans("0123456789", "1234567890")) for path in (image, mask)]
    found, unpaired = paired(image, mask, *other)
    assert not unpaired
    assert [name for name, _, _ in found[image]] == [mask]
    assert [name for name, _, _ in found[other[0]]] == [other[1]]


def test_structures_are_what_the_masks_names_add():
    found, _ = paired("p1.png", "p1_lv_mask.png", "p1_mask_myo.png", "p2.png", "masks/lv/p2.png")
    assert found["p1.png"] == [("p1_lv_mask.png", "lv", None), ("p1_mask_myo.png", "myo", None)]
    assert found["p2.png"] == [("masks/lv/p2.png", "lv", None)]


def test_a_number_after_the_word_for_a_mask_is_a_further_file_of_the_same_structure():
    found, _ = paired("benign (1).png", "benign (1)_mask.png", "benign (1)_mask_1.png")
    assert [(structure, frame) for _, structure, frame in found["benign (1).png"]] == [("", None), ("", None)]


def test_a_mask_of_another_frame_is_not_given_to_the_image_of_a_shorter_name():
    found, unpaired = paired("p01.png", "p01_002_mask.png")
    assert found == {"p01.png": []}
    assert unpaired == {"p01_002_mask.png": "no image of this name"}


def test_a_number_names_the_frame_of_a_longer_file():
    found, _ = paired("p01.avi", "p01_frame012_mask.png", "p02.nii.gz", "p02_seg.nii.gz")
    assert found == {"p01.avi": [("p01_frame012_mask.png", "", 12)], "p02.nii.gz": [("p02_seg.nii.gz", "", None)]}


def test_modalities_of_one_case_share_its_mask():
    found, _ = paired("c1/c1_t1.nii.gz", "c1/c1_flair.nii.gz", "c1/c1_seg.nii.gz")
    assert [len(masks) for masks in found.values()] == [1, 1]


def test_channels_of_nnunet_share_their_mask():
    found, _ = paired("imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz", channels=True)
    assert [len(masks) for masks in found.values()] == [1, 1]


def test_an_image_in_two_file_types_is_ambiguous():
    found, unpaired = paired("images/a.png", "images/a.jpg", "masks/a.png")
    assert not any(found.values())
    assert unpaired == {"masks/a.png": "several images may be meant: images/a.png, images/a.jpg"}


def test_equal_names_in_two_splits_stay_apart():
    names = [f"{split}/{kind}/0.png" for split in ("train", "test") for kind in ("images", "masks")]
    found, _ = paired(*names)
    assert found == {
        "train/images/0.png": [("train/masks/0.png", "", None)],
        "test/images/0.png": [("test/masks/0.png", "", None)],
    }


@given(st.sets(st.text("ab01_- ", min_size=1, max_size=6).filter(split_words), min_size=1, max_size=8))
def test_masks_in_a_folder_of_their_own_are_paired_by_name_or_not_at_all(stems):
    found, unpaired = paired(*(f"{folder}/{stem}.png" for stem in stems for folder in ("images", "masks")))
    for image, masks in found.items():
        for mask, _, _ in masks:
            assert split_words(mask.removeprefix("masks/")) == split_words(image.removeprefix("images/"))
    assert sum(map(len, found.values())) + len(unpaired) == len(stems)


def test_frames_of_videos_in_any_folder_are_found():
    found, _ = paired("videos/v1.avi", "masks/v1_frame003.png", "masks/v1_frame009.png")
    assert [(structure, frame) for _, structure, frame in found["videos/v1.avi"]] == [("", 3), ("", 9)]
