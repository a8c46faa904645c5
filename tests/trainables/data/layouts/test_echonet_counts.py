"""The published numbers of EchoNet-Dynamic, on a synthetic dataset of its size with its known faults."""

import numpy as np
import pytest

from trainables.data.layouts.echonet import FILE_LIST, FILE_LIST_COLUMNS, TRACINGS, TRACINGS_COLUMNS, EchoNetDynamic

LISTED = {"TRAIN": 7465, "VAL": 1288, "TEST": 1277}
UNTRACED = {"TRAIN": 5, "TEST": 1}
"""Number of videos without tracings by split; 7,460 + 1,288 + 1,276 videos have them."""


@pytest.fixture(scope="module")
def full_size(tmp_path_factory):
    root = tmp_path_factory.mktemp("full")
    (root / "Videos").mkdir()
    turn = np.linspace(0, np.pi, 22)[1:-1]
    chords = [(56 - 20 * np.sin(a), 56 - 30 * np.cos(a), 56 + 20 * np.sin(a), 56 - 30 * np.cos(a)) for a in turn]
    rows = [(56, 26, 56, 86), *chords]
    diastole = "".join(f"%s.avi,{','.join(f'{value:.3f}' for value in row)},40\n" for row in rows)
    systole = "".join(f"%s.avi,{','.join(f'{56 + 0.8 * (value - 56):.3f}' for value in row)},60\n" for row in rows)
    listed, traced = [",".join(FILE_LIST_COLUMNS)], [",".join(TRACINGS_COLUMNS) + "\n"]
    for split, count in LISTED.items():
        for number in range(count):
            name = f"0X{split}{number:05d}"
            (root / "Videos" / f"{name}.avi").touch()
            listed.append(f"{name},60.0,40.0,100.0,112,112,50,180,{split}")
            if number >= UNTRACED.get(split, 0):
                traced.append((diastole + systole).replace("%s", name))
    traced.append(diastole.replace("%s", "0X4F8859C8AB4DA9CB"))  # traced, but without a video
    (root / FILE_LIST).write_text("\n".join(listed))
    (root / TRACINGS).write_text("".join(traced))
    return root


def test_labelled_images_are_those_of_saeed_2022(full_size):
    scan = EchoNetDynamic(untraced=False).scan(full_size)
    images = {"train": 0, "val": 0, "test": 0}
    videos = {"train": 0, "val": 0, "test": 0}
    for record in scan.records:
        images[record.split] += len(record.labelled)
        videos[record.split] += 1
    assert images == {"train": 14_920, "val": 2_576, "test": 2_552}  # section 3.3
    assert (videos["train"], videos["val"]) == (7_460, 1_288)  # of each of which pretraining takes one frame
    kinds = [issue.kind for issue in scan.issues]
    assert kinds.count("no tracing") == 6
    assert [issue.skipped for issue in scan.issues if issue.kind == "no tracing"] == ["sequence"] * 6
    assert kinds.count("traced video not listed") == 1


def test_untraced_videos_are_unlabelled_data_where_wanted(full_size):
    records = EchoNetDynamic().scan(full_size).records
    assert len(records) == 10_030
    assert sum(not record.labelled for record in records) == 6
