"""Columns of a manifest: none is dropped without a word."""

import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.layouts.manifest import Manifest
from trainables.data.settings import DataSettings
from trainables.data.store.check import check

IMAGE = np.arange(120, dtype=np.uint8).reshape(12, 10)
MASK = (IMAGE > 60).astype(np.uint8)


@pytest.fixture
def root(tmp_path) -> Path:
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"i{number}.png"), IMAGE + number)
        cv2.imwrite(str(tmp_path / f"m{number}.png"), MASK)
    (tmp_path / "classes.csv").write_text("value,name\n0,background\n1,lv\n")
    return tmp_path


def table(root: Path, *lines: str) -> Path:
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root


def records(root: Path, **settings):
    return Manifest(**settings).scan(root).records


@pytest.mark.parametrize("header", ["Subject,IMAGE,Mask,Split,View", " subject ,image, mask,split,view"])
def test_names_of_columns_match_without_case(root, header):
    (record,) = records(table(root, header, "p,i0.png,m0.png,test,4CH"))
    assert (record.subject, record.split, record.view, dict(record.labelled)) == ("p", "test", "4CH", {0: ""})


@pytest.mark.parametrize(
    ("column", "meant"),
    [("subset", "split"), ("Set", "split"), ("label", "mask"), ("col_mm", "column_mm"), ("spilt", "split")],
)
def test_an_unknown_column_is_an_error_with_the_nearest_name(root, column, meant):
    table(root, f"subject,image,{column}", "p,i0.png,")
    text = rf"manifest\.csv, row 1: unknown column '{column}'; did you mean '{meant}'\? Fix: rename it, begin its"
    with pytest.raises(DataError, match=text):
        records(root)
    assert len(records(root, ignore=(column.upper(),))) == 1
    table(root, f"subject,image,x_{column}", "p,i0.png,")
    assert len(records(root)) == 1


@pytest.mark.parametrize("twice", ["mask,mask", "mask,Mask", "mask:lv,mask:LV"])
def test_a_doubled_column_is_an_error(root, twice):
    first, second = twice.split(",")
    table(root, f"subject,image,{twice}", "p,i0.png,,m0.png")
    with pytest.raises(DataError, match=rf"row 1: two columns '{first}' and '{second}', expected one of each name"):
        records(root)


def test_columns_without_a_name_are_those_of_a_data_frame_s_index(root):
    assert len(records(table(root, ",subject,image,", "0,p,i0.png,"))) == 1


def test_a_missing_column_is_named(root):
    with pytest.raises(DataError, match=r"row 1: no column 'image' \(found 'subject', 'split'\)"):
        records(table(root, "subject,split", "p,train"))


def test_a_cell_too_many_is_a_fault_and_moves_no_other_cell(root):
    table(root, "subject,image,ef", "p,i0.png,61,5", "q,i1.png,61", "r,i2.png,61,")
    listing = Manifest().scan(root)
    assert [(issue.place, issue.kind) for issue in listing.issues if issue.severity == "loss"] == [
        ("row 2", "unreadable row")
    ]
    assert [record.clinical for record in listing.records] == [{"ef": 61.0}] * 2


@pytest.mark.parametrize(
    ("row_mm", "column_mm", "ef", "text"),
    [
        ('"0,3"', '"0,3"', "", "row_mm is '0,3', expected a number with a decimal point"),
        ("0.3", "0.3", '"61,5"', "ef is '61,5', expected a number with a decimal point"),
        ("0.3", "0.3 mm", "", "column_mm is '0.3 mm', expected a number"),
        ("0.3", "", "", "column_mm is empty, expected both of row_mm and column_mm or neither"),
        ("0.3", "0.3", "inf", "ef is 'inf', expected a number"),
    ],
)
def test_numbers_that_are_none_are_faults(root, row_mm, column_mm, ef, text):
    table(root, "subject,image,row_mm,column_mm,ef", f"p,i0.png,{row_mm},{column_mm},{ef}")
    (issue,) = Manifest().scan(root).issues
    assert (issue.place, issue.severity, issue.message) == ("row 2", "loss", text)


@pytest.mark.parametrize("unknown", ["", "NA", "nan", "-", "None"])
def test_unknown_numbers_are_no_faults(root, unknown):
    (record,) = records(table(root, "subject,image,row_mm,column_mm,ef", f"p,i0.png,{unknown},{unknown},{unknown}"))
    assert (record.spacing, dict(record.clinical)) == (None, {})


def test_subjects_that_differ_by_case_only_are_noted(root):
    table(root, "subject,split,image,mask", "p0,train,i0.png,m0.png", "P0,test,i1.png,m1.png", "p1,val,i2.png,m2.png")
    report = check(DataSettings(layout=Manifest()), root, workers=1)
    noted = [issue for issue in report.issues if issue.kind == "subjects differ by case"]
    assert [(issue.place, issue.severity) for issue in noted] == [("row 3", "note")]
    assert "'p0' and 'P0'" in noted[0].message
    assert report.refusal == ""
    assert report.subjects == {"train": (1, 1), "val": (1, 1), "test": (1, 1)}


def test_absolute_paths_inside_the_folder_are_those_relative_to_it(root, tmp_path_factory):
    link = tmp_path_factory.mktemp("link") / "dataset"
    link.symlink_to(root)
    for folder in (root, link):
        table(root, "subject,image,mask", f"p,{folder}/i0.png,{folder}/m0.png")
        (record,) = records(link)
        assert record.files == {"image/000000": "i0.png", "mask/000000": "m0.png"}
    table(root, "subject,image,mask", f"p,{root}/../{root.name}/i0.png,", f"q,{root}2/i1.png,")
    assert [issue.kind for issue in Manifest().scan(root).issues] == ["path outside the dataset"] * 2


def test_paths_of_other_systems_find_their_files(root):
    (root / "sub").mkdir()
    for name, target in (("i0.png", "sub/i0.png"), ("i1.png", unicodedata.normalize("NFD", "é.png"))):
        (root / name).rename(root / target)
    table(root, "subject,image", "p,sub\\i0.png", unicodedata.normalize("NFC", "q,é.png"))
    found = [Manifest().read(root, record).images[0, 0] for record in records(root)]
    np.testing.assert_array_equal(found, [IMAGE, IMAGE + 1])


def test_still_images_stand_alone_unless_they_share_a_sequence(root):
    cv2.imwrite(str(root / "i3.png"), IMAGE[:6])
    table(root, "subject,image", *(f"p,i{number}.png" for number in range(4)))
    report = check(DataSettings(layout=Manifest(), stride=3), root, workers=1)
    assert (report.sequences, {issue.kind for issue in report.issues if issue.severity != "note"}) == (4, set())
    table(root, "subject,image,sequence", *(f"p,i{number}.png,s{number // 2}" for number in range(4)))
    assert [record.frames for record in records(root)] == [2, 2]
    table(root, "subject,image,frame,phase", "p,i0.png,1,", "p,i1.png,0,", "q,i2.png,,ED", "q,i3.png,,ES")
    assert [list(record.files.values()) for record in records(root)] == [["i1.png", "i0.png"], ["i2.png", "i3.png"]]
