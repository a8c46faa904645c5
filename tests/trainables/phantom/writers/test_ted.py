import numpy as np
import pytest

from trainables.data.readers import metaimage
from trainables.data.readers.tables import read_pairs
from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.phantom.imaging.cine import draw_cine

SETTINGS = PhantomSettings(subjects=2, frames=10, size=48)


@pytest.fixture(scope="module")
def ted(tmp_path_factory):
    root = tmp_path_factory.mktemp("ted")
    PHANTOMS["ted"].write(root, SETTINGS, None)
    return root / "database"


def test_every_frame_has_its_mask(ted):
    assert sorted(path.name for path in ted.iterdir()) == ["patient001", "patient002"]
    for folder in ted.iterdir():
        cine = draw_cine(SETTINGS, folder.name)
        images, masks = (
            metaimage.read_metaimage(folder / f"{folder.name}_4CH_{stem}.mhd") for stem in ("sequence", "sequence_gt")
        )
        assert images.array.dtype == masks.array.dtype == np.uint8
        np.testing.assert_array_equal(images.array.transpose(2, 1, 0), cine.images)
        for frame in range(10):
            mask = masks.array[:, :, frame].T
            assert np.unique(mask).tolist() == [0, 1, 2]
            np.testing.assert_array_equal(mask == 1, cine.left_ventricle(frame))
        assert images.spacing[:2] == pytest.approx((cine.millimetres / 48,) * 2)


def test_the_cfg_names_the_ends_of_the_cycle_from_one(ted):
    for folder in ted.iterdir():
        lines = read_pairs(folder / f"{folder.name}_4CH_info.cfg")
        assert list(lines) == ["ED", "ES", "NbFrame", "Sex", "Age", "ImageQuality", "EF"]
        masks = metaimage.read_metaimage(folder / f"{folder.name}_4CH_sequence_gt.mhd").array
        areas = (masks == 1).sum(axis=(0, 1))
        assert areas[int(lines["ED"]) - 1] > 0.97 * areas.max()
        assert areas[int(lines["ES"]) - 1] < 1.05 * areas.min()
        assert lines["NbFrame"] == "10"
