import pytest

from trainables.common.errors import UserError
from trainables.data.proposal.file_names import parse_path
from trainables.data.proposal.subjects import propose_subjects, subjects_by_pattern


def notes(*paths: str) -> tuple[str, ...]:
    return propose_subjects([parse_path(path) for path in paths]).notes


def proposed(*paths: str) -> list[str]:
    files = [parse_path(path) for path in paths]
    names = propose_subjects(files).names
    return [names[path] for path in paths]


def test_every_file_is_a_patient_where_names_only_count():
    assert proposed("images/img_001.png", "images/img_002.png", "images/img_003.png") == [
        "img_001",
        "img_002",
        "img_003",
    ]


def test_frames_of_a_patient_are_told_by_ends_that_patients_share():
    names = [f"p{patient:02d}_{frame:03d}.png" for patient in range(3) for frame in range(2)]
    assert proposed(*names) == ["p00", "p00", "p01", "p01", "p02", "p02"]


def test_phases_and_views_are_no_part_of_the_patient():
    names = [f"case{case}_{view}_{phase}.png" for case in (1, 2) for view in ("2CH", "4CH") for phase in ("ED", "ES")]
    assert proposed(*names) == ["case1"] * 4 + ["case2"] * 4


def test_numbers_that_run_on_through_years_are_no_frames():
    names = ["us_2020_0001.png", "us_2020_0002.png", "us_2021_0003.png", "us_2021_0004.png"]
    assert proposed(*names) == ["us_2020_0001", "us_2020_0002", "us_2021_0003", "us_2021_0004"]


def test_folders_with_numbers_are_patients_below_sites_without():
    names = [f"site{site}/p{patient}/im{frame}.png" for site in "AB" for patient in range(3) for frame in range(2)]
    assert proposed(*names)[:4] == ["siteA/p0", "siteA/p0", "siteA/p1", "siteA/p1"]


def test_few_numbered_folders_are_sites_if_patients_follow():
    names = [f"site{site}/p{patient}/im.png" for site in (1, 2) for patient in range(3)]
    assert proposed(*names) == [name.removesuffix("/im.png") for name in names]


def test_folders_of_classes_are_no_patients():
    assert proposed("benign/benign (1).png", "normal/normal (1).png") == ["benign/benign (1)", "normal/normal (1)"]


def test_numbers_that_start_anew_in_each_split_are_other_patients():
    assert proposed("train/images/0.png", "test/images/0.png", "test/images/1.png") == ["train/0", "test/0", "test/1"]


def test_a_pattern_decides_by_its_group():
    files = [parse_path("x/a12-7.png"), parse_path("y/a13-7.png")]
    assert list(subjects_by_pattern(files, r"a(\d+)").names.values()) == ["12", "13"]
    assert list(subjects_by_pattern(files, r"(?P<site>\w)/(?P<subject>a\d+)").names.values()) == ["a12", "a13"]
    assert list(subjects_by_pattern(files, r"a\d+").names.values()) == ["a12", "a13"]


@pytest.mark.parametrize(
    ("pattern", "problem"), [("(", "not a regular expression"), (r"z(\d+)", "no match in 'a1.png'")]
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern, problem):
    with pytest.raises(UserError, match=problem):
        subjects_by_pattern([parse_path("a1.png")], pattern)


def test_folders_that_all_images_share_are_no_part_of_the_patient():
    names = [f"database/p{patient}/im{frame}.png" for patient in range(3) for frame in range(2)]
    assert proposed(*names) == ["p0", "p0", "p1", "p1", "p2", "p2"]


def test_a_number_is_not_cut_from_its_word():
    names = [f"2021-0{month}-11_pat{patient}.png" for month in (1, 2, 3) for patient in range(4)]
    assert proposed(*names) == [name.removesuffix(".png") for name in names]
    (note,) = notes(*names)
    assert note.startswith("'pat")
    assert "if such parts are patients, set --subject-pattern" in note


def test_both_eyes_are_one_patient():
    assert proposed("1000_OD.png", "1000_OS.png", "1001_OD.png", "1001_OS.png") == ["1000", "1000", "1001", "1001"]


def test_very_few_subjects_are_doubted():
    (note,) = notes(*(f"visit{visit}/pat{patient:02d}.png" for visit in (1, 2) for patient in range(10)))
    assert note.startswith("only 2 subjects have 20 images")
    assert notes(*(f"p{patient}/im{frame}.png" for patient in range(6) for frame in range(9))) == ()


def test_numbers_that_recur_in_other_folders_or_channels_are_no_doubt():
    assert notes(*(f"{split}/images/{number}.png" for split in ("train", "test") for number in range(9))) == ()
    assert notes(*(f"{kind}/{kind} ({number}).png" for kind in ("benign", "normal") for number in range(9))) == ()
    names = [f"imagesTr/a_{case:03d}_{channel:04d}.nii.gz" for case in range(9) for channel in range(2)]
    assert propose_subjects([parse_path(name, channels=True) for name in names]).notes == ()
