import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from images import DATA, PREPROCESSING, disc, write_nifti, write_png

from trainables.common.errors import DataError
from trainables.data.layouts.camus import Camus
from trainables.data.layouts.manifest import Manifest
from trainables.data.settings import DataSettings
from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.prediction.decoding import decode
from trainables.prediction.reading import MAX_AHEAD, FailedImage, _Waiting
from trainables.prediction.sources import find_sources


def names(*arguments: object, data: DataSettings = DATA) -> list[tuple[str, str]]:
    found = find_sources([str(each) for each in arguments], data, PREPROCESSING)
    return [(source.name, source.output) for source in found.sources]


def test_files_are_named_relative_to_what_was_given(tmp_path):
    for name in ("a/x.png", "a/b/y.bmp", "a/b/z.v2.png"):
        write_png(tmp_path / name, disc((8, 8), 3))
    assert names(tmp_path / "a") == [("x.png", "x"), ("b/y.bmp", "b/y"), ("b/z.v2.png", "b/z.v2")]
    assert names(tmp_path / "a/b/y.bmp") == [("y.bmp", "y")]


def test_equal_stems_keep_their_suffix_and_equal_names_are_an_error(tmp_path):
    for name in ("a/x.png", "a/x.bmp", "b/x.png"):
        write_png(tmp_path / name, disc((8, 8), 3))
    assert names(tmp_path / "a") == [("x.bmp", "x.bmp"), ("x.png", "x.png")]
    with pytest.raises(DataError, match=r"x\.png: the name of 2 images"):
        names(tmp_path / "a", tmp_path / "b")


def test_what_is_no_image_is_an_error_that_says_what_is(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"notes.txt: unsupported file type \(found .txt, expected .avi"):
        names(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="nor a dataset"):
        names(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"no image\. Fix"):
        names(tmp_path)


def test_a_dataset_is_read_by_the_studys_settings_of_its_layout_and_views(tmp_path):
    PHANTOMS["camus"].write(tmp_path, PhantomSettings(subjects=5, frames=8, size=32), None)
    both = names(f"camus={tmp_path}", data=DataSettings(layout=Camus()))
    one = names(f"camus={tmp_path}", data=DataSettings(layout=Camus(), views=("4CH",)))
    assert [name for name, _ in both if "4CH" in name] == [name for name, _ in one]
    assert len(both) == 2 * len(one)


def test_files_of_a_known_type_that_cannot_be_read_are_told(tmp_path):
    write_png(tmp_path / "a/x.png", disc((8, 8), 3))
    (tmp_path / "a/link.png").symlink_to("nothing")
    os.mkfifo(tmp_path / "a/pipe.png")
    (tmp_path / "a/notes.md").symlink_to("nothing")
    found = find_sources([str(tmp_path / "a")], DATA, PREPROCESSING)
    assert sorted(found.unusable) == [("link.png", "a link to nothing"), ("pipe.png", "not a regular file")]
    assert found.ignored == 1
    with pytest.raises(DataError, match=r"pipe\.png: not a regular file"):
        names(tmp_path / "a/pipe.png")


@pytest.mark.parametrize(("time", "given", "stack"), [(False, None, True), (True, None, False), (True, False, True)])
def test_the_third_axis_of_a_manifests_file_is_time_where_the_study_has_frames_over_time(tmp_path, time, given, stack):
    write_nifti(tmp_path / "v.nii.gz", np.zeros((8, 9, 5), np.int16), np.eye(4))
    (tmp_path / "manifest.csv").write_text("subject,image\np,v.nii.gz\n")
    layouts = None if given is None else {"manifest": Manifest(time=given)}
    arguments = [f"manifest={tmp_path}"]
    data = DataSettings(layout=Camus())
    (source,) = find_sources(arguments, data, PREPROCESSING, time=time, given=layouts).sources
    assert source.records[0].stack is stack


def test_a_missing_file_of_a_dataset_is_told(tmp_path):
    PHANTOMS["echonet"].write(tmp_path, PhantomSettings(subjects=5, frames=8, size=32), None)
    video = sorted((tmp_path / "Videos").iterdir())[0]
    video.unlink()
    found = find_sources([f"echonet={tmp_path}"], DATA, PREPROCESSING)
    assert [(file, "not there" in text) for file, text in found.unusable] == [("FileList.csv", True)]
    assert video.stem not in {source.output for source in found.sources}


def test_memory_bounds_what_is_decoded_ahead(tmp_path):
    (source,) = find_sources([str(write_png(tmp_path / "a.png", disc((64, 64), 9)))], DATA, PREPROCESSING).sources
    image = decode(source, PREPROCESSING, 1.0)
    np.testing.assert_array_equal(image.inputs.shape, (1, 1, 32, 32))
    waiting = _Waiting(image.images.nbytes + image.inputs.nbytes)
    assert waiting.put(image)
    waiting.close()  # a second one would wait for room, until the queue is closed
    assert not waiting.put(image)
    assert waiting.get() is image
    assert _Waiting(0).put(FailedImage("a", "b"))
    assert MAX_AHEAD > 0
