"""Masks of a manifest: numbers, a file for each structure, colors, and images that show no structure."""

from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.layouts.manifest import Manifest
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.data.store.prepare import prepare

IMAGE = np.arange(120, dtype=np.uint8).reshape(12, 10)
CAVITY = np.zeros((12, 10), np.uint8)
CAVITY[4:7, 3:6] = 1
WALL = np.zeros((12, 10), np.uint8)
WALL[2:9, 1:8] = 1
BOTH = np.where(CAVITY > 0, 1, WALL * 2)


@pytest.fixture
def root(tmp_path) -> Path:
    for number in range(6):
        cv2.imwrite(str(tmp_path / f"i{number}.png"), IMAGE + number)
    cv2.imwrite(str(tmp_path / "cavity.png"), CAVITY * 255)
    cv2.imwrite(str(tmp_path / "wall.png"), WALL)
    cv2.imwrite(str(tmp_path / "ring.png"), (WALL - CAVITY) * 7)
    cv2.imwrite(str(tmp_path / "none.png"), CAVITY * 0)
    return tmp_path


def table(root: Path, *lines: str, classes: str | None = None) -> Path:
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    if classes is not None:
        (root / "classes.csv").write_text(classes)
    return root


def masks(root: Path) -> list[dict[int, np.ndarray]]:
    layout = Manifest()
    return [dict(layout.read(root, record).masks) for record in layout.scan(root).records]


def issues(root: Path) -> list[tuple[str, str, str]]:
    report = check(DataSettings(layout=Manifest()), root, workers=1)
    found = [issue for issue in report.issues if issue.kind != "spacing missing" and issue.file]
    return [(issue.severity, issue.file, issue.message) for issue in found]


def test_files_of_single_structures_merge_by_the_name_of_their_column(root):
    table(root, "subject,image,mask:lv,mask:myocardium", "p,i0.png,cavity.png,ring.png")
    assert Manifest().scan(root).classes == ("background", "lv", "myocardium")
    np.testing.assert_array_equal(masks(root)[0][0], BOTH)
    assert issues(root) == []


def test_the_list_of_classes_gives_the_structures_order(root):
    classes = "value,name\n3,myocardium\n9,LV\n"
    table(root, "subject,image,mask:lv,mask:Myocardium", "p,i0.png,cavity.png,ring.png", classes=classes)
    assert Manifest().scan(root).classes == ("background", "myocardium", "LV")
    np.testing.assert_array_equal(masks(root)[0][0], np.array([0, 2, 1])[BOTH])
    table(root, "subject,image,mask:myocard", "p,i0.png,cavity.png")
    with pytest.raises(
        DataError, match=r"column 'mask:myocard', but classes\.csv has no such name; did you mean 'myocardium'\?"
    ):
        masks(root)


def test_the_later_column_counts_where_structures_overlap(root):
    table(root, "subject,image,mask:myocardium,mask:lv", "p,i0.png,wall.png,cavity.png")
    np.testing.assert_array_equal(masks(root)[0][0], np.where(CAVITY > 0, 2, WALL))
    text = "9 pixels lie in another structure's mask, too; here they belong to this one"
    assert issues(root) == [("note", "cavity.png", text)]


def test_several_files_of_one_structure_are_one_mask(root):
    cv2.imwrite(str(root / "more.png"), np.roll(CAVITY, 4, axis=1))
    table(root, "subject,image,mask:lesion", "p,i0.png,cavity.png | more.png")
    np.testing.assert_array_equal(masks(root)[0][0], CAVITY | np.roll(CAVITY, 4, axis=1))


def test_a_structure_without_a_file_is_not_in_the_image_and_a_row_without_any_is_unlabelled(root):
    table(root, "subject,image,mask:lv,mask:myocardium", "p,i0.png,,ring.png", "q,i1.png,,")
    first, second = masks(root)
    np.testing.assert_array_equal(first[0], (WALL - CAVITY) * 2)
    assert second == {}


def test_a_mask_that_lacks_one_of_its_files_is_left_out_as_a_whole(root):
    cv2.imwrite(str(root / "small.png"), CAVITY[:, :9])
    table(root, "subject,image,mask:lv,mask:wall", "p,i0.png,small.png,ring.png", "q,i1.png,no.png,ring.png")
    assert masks(root) == [{}, {}]
    assert [text for _, _, text in issues(root)] == [
        "no.png is listed but does not exist",
        "mask and image differ in size (found 12 x 9, expected 12 x 10)",
    ]


def test_a_file_of_one_structure_with_several_numbers_and_two_kinds_of_masks_are_refused(root):
    cv2.imwrite(str(root / "two.png"), BOTH.astype(np.uint8))
    table(root, "subject,image,mask:lv", "p,i0.png,two.png")
    assert masks(root) == [{}]
    assert issues(root)[0][2].startswith("several label numbers (found 1, 2, expected one above 0")
    table(root, "subject,image,mask,mask:lv", "p,i0.png,wall.png,cavity.png", classes="value,name\n1,lv\n")
    assert "masks in both 'mask' and 'mask:lv'" in issues(root)[0][2]


def test_structures_of_volumes_and_of_their_slices(root):
    affine = np.diag([-1, -1, 4, 1])
    volume = np.stack([IMAGE.T, IMAGE.T + 1], axis=-1)
    for name, plane in (("v", IMAGE), ("a", CAVITY), ("b", WALL - CAVITY)):
        nib.save(nib.Nifti1Image(np.stack([plane.T] * 2, axis=-1), affine), root / f"{name}.nii")
    assert volume.shape == (10, 12, 2)
    table(root, "subject,image,mask:lv,mask:wall", "p,v.nii,a.nii,b.nii")
    found = masks(root)[0]
    assert sorted(found) == [0, 1]
    np.testing.assert_array_equal(found[1], BOTH)
    table(root, "subject,image,mask:lv,mask:wall,frame", "p,v.nii,cavity.png,ring.png,1")
    found = masks(root)[0]
    assert sorted(found) == [1]
    np.testing.assert_array_equal(found[1], BOTH)


@pytest.mark.parametrize(
    ("classes", "levels"),
    [
        ("value,name\n255,lv\n", (0, 255, 0)),
        ("value,name\n85,lv\n170,wall\n255,rest\n", (0, 85, 170)),
        ("value,name,color\n1,lv,#ff0000\n2,wall,lime\n", ((0, 0, 0), (255, 0, 0), (0, 255, 0))),
        ("Value,NAME,Color\n0,background,white\n1,lv,rgb(255 0 0)\n2,wall,#0f0\n", None),
    ],
)
def test_encodings_of_masks_that_the_list_of_classes_names(root, classes, levels):
    if levels is None:
        classes = classes.replace("rgb(255 0 0)", "red")
        levels = ((255, 255, 255), (255, 0, 0), (0, 255, 0))
    picture = np.array(levels, np.uint8)[BOTH]
    cv2.imwrite(str(root / "m.png"), picture[..., ::-1] if picture.ndim == 3 else picture)
    table(root, "subject,image,mask", "p,i0.png,m.png", classes=classes)
    np.testing.assert_array_equal(masks(root)[0][0], BOTH if levels[2] else CAVITY)


@pytest.mark.parametrize("classes", ["value,name,color\n1,lv,reddish\n", "value,name,color\n1,a,red\n2,b,#f00\n"])
def test_colors_that_are_none_or_another_class_s_are_named(root, classes):
    table(root, "subject,image,mask", "p,i0.png,wall.png", classes=classes)
    with pytest.raises(DataError, match=r"classes\.csv, row \d: color '"):
        masks(root)


def test_images_without_a_structure_are_kept_as_true_negatives(root, tmp_path):
    rows = [f"p{n},{split},i{n}.png,{mask}.png" for n, (split, mask) in enumerate(zip(SPLITS, MASKS, strict=True))]
    table(root, "subject,split,image,mask", *rows, classes="value,name\n1,lesion\n")
    settings = DataSettings(layout=Manifest(), image_size=10)
    report = check(settings, root, workers=1, needed=("train", "val", "test"))
    assert report.subjects == {"train": (2, 2), "val": (2, 2), "test": (2, 2)}
    assert (report.refusal, [issue.severity for issue in report.issues if issue.kind == "background only"]) == (
        "",
        ["note"] * 3,
    )
    store = prepare(settings, root, tmp_path / "stores", b"key", workers=1)
    for split in ("train", "val", "test"):
        rows = store.rows(split, labelled=True)
        assert [bool(store.masks[number].any()) for number in store.index["mask"][rows]] == [True, False]
    assert store.issues["background only"] == 3


SPLITS = ("train", "train", "val", "val", "test", "test")
MASKS = ("wall", "none") * 3
