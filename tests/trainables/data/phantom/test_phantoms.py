import filecmp

import pytest

from trainables.data.phantom import PHANTOMS, PhantomSettings

SETTINGS = PhantomSettings(subjects=6, frames=8, size=32, slices=4, seed=3)
NAMES = ["camus_mhd", "chaos", "decathlon_liver", "decathlon_prostate", "manifest", "ted"]


def written(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_settings_write_the_same_bytes(tmp_path, name):
    steps = []
    PHANTOMS[name](tmp_path / "a", SETTINGS)
    PHANTOMS[name](tmp_path / "b", SETTINGS, lambda what, done, total: steps.append((done, total)))
    files = written(tmp_path / "a")
    assert files == written(tmp_path / "b")
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", files, shallow=False) == (files, [], [])
    assert steps == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("name", NAMES)
def test_one_subject_is_enough_and_has_labels(tmp_path, name):
    PHANTOMS[name](tmp_path, PhantomSettings(subjects=1, frames=8, size=33, slices=5))
    assert any(word in file for file in written(tmp_path) for word in ("_gt", "labelsTr/", "Ground/", "mask"))
