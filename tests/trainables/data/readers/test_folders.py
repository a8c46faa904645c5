"""Walk through links: each folder once, loops end, special files are no files."""

import os

import pytest

from trainables.data.readers.folders import walk_files, walk_folders


def test_linked_folders_are_walked_and_loops_end(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    (root / "a").mkdir(parents=True)
    elsewhere.mkdir()
    (root / "a" / "one.png").touch()
    (elsewhere / "two.png").touch()
    (root / "b").symlink_to(elsewhere)
    (root / "a" / "up").symlink_to(root)
    (elsewhere / "again").symlink_to(root / "a")
    (root / "c").symlink_to(root / "c")
    (root / "dangling").symlink_to(root / "nowhere")
    found = [path.relative_to(root).as_posix() for path in walk_files(root)]
    assert found == ["a/one.png", "b/two.png"]
    repeated = {name: first for folder in walk_folders(root) for name, first in folder.repeated.items()}
    assert repeated == {"a/up": "", "b/again": "a"}
    links = [name for folder in walk_folders(root) for name in folder.links]
    assert links == ["b", "c", "dangling", "a/up", "b/again"]


def test_a_folder_linked_many_times_over_is_walked_once(tmp_path):
    """Visit 30 folders, not the 2**30 paths that lead to the last of them."""
    for number in range(30):
        (tmp_path / f"{number}").mkdir()
    for number in range(29):
        for name in ("left", "right"):
            (tmp_path / f"{number}" / name).symlink_to(tmp_path / f"{number + 1}")
    (tmp_path / "29" / "x.png").touch()
    assert len(list(walk_folders(tmp_path))) == 31
    assert len(list(walk_files(tmp_path))) == 1


def test_special_files_and_missing_folders_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    assert [path.name for path in walk_files(tmp_path)] == ["file"]
    with pytest.raises(FileNotFoundError):
        list(walk_folders(tmp_path / "nowhere"))
