import filecmp

import numpy as np
import pytest

from trainables.phantom import PHANTOMS, PhantomSettings

SETTINGS = PhantomSettings(subjects=6, frames=8, size=32, slices=4, seed=3)


def written(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", list(PHANTOMS))
def test_the_same_settings_write_the_same_bytes(tmp_path, name):
    steps = []
    PHANTOMS[name].write(tmp_path / "a", SETTINGS, None)
    PHANTOMS[name].write(tmp_path / "b", SETTINGS, lambda what, done, total: steps.append((done, total)))
    files = written(tmp_path / "a")
    assert files == written(tmp_path / "b")
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", files, shallow=False) == (files, [], [])
    assert steps == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("name", list(PHANTOMS))
def test_one_subject_is_enough_and_has_labels(tmp_path, name):
    phantom = PHANTOMS[name]
    phantom.write(tmp_path, PhantomSettings(subjects=1, frames=8, size=33, slices=5), None)
    scan = phantom.layout().scan(tmp_path)
    assert len({record.subject for record in scan.records}) == 1
    assert any(record.labelled for record in scan.records) == (len(scan.classes) > 1)


@pytest.mark.parametrize("name", list(PHANTOMS))
def test_its_layout_reads_it_without_a_fault(tmp_path, name):
    layout = PHANTOMS[name].layout()
    PHANTOMS[name].write(tmp_path, PhantomSettings(subjects=6, frames=8, size=64, slices=10), None)
    scan = layout.scan(tmp_path)
    assert scan.issues == ()
    assert len({record.subject for record in scan.records}) == 6
    seen: set[int] = set()
    for record in scan.records:
        pixels = layout.read(tmp_path, record)
        assert pixels.issues == ()
        assert set(pixels.masks) == set(record.labelled)
        assert record.frames in (None, len(pixels.images))
        assert pixels.images.max() > 100
        seen.update(*(np.unique(mask).tolist() for mask in pixels.masks.values()))
    assert seen == (set(range(len(scan.classes))) if len(scan.classes) > 1 else set())
