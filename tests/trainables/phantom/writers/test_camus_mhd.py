import numpy as np
import pytest

from trainables.data.readers import metaimage
from trainables.data.readers.tables import read_pairs
from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.phantom.imaging.cine import draw_cine

SETTINGS = PhantomSettings(subjects=20, frames=8, size=32, seed=4)


@pytest.fixture(scope="module")
def camus(tmp_path_factory):
    root = tmp_path_factory.mktemp("camus_mhd")
    PHANTOMS["camus_mhd"].write(root, SETTINGS, None)
    return root


def group(root, number, part):
    return set((root / "listSubGroups" / f"subGroup{number}_{part}.txt").read_text().split())


def test_ten_splits_whose_test_parts_cover_everyone_once(camus):
    everyone = {f"patient{number:04d}" for number in range(1, 21)}
    tested = []
    for number in range(1, 11):
        parts = [group(camus, number, part) for part in ("training", "validation", "testing")]
        assert set.union(*parts) == everyone
        assert [len(part) for part in parts] == [16, 2, 2]
        tested += parts[2]
    assert sorted(tested) == sorted(everyone)


def test_the_fifth_split_is_the_later_release(camus, tmp_path):
    PHANTOMS["camus"].write(tmp_path, SETTINGS, None)
    for part in ("training", "validation", "testing"):
        listed = set((tmp_path / "database_split" / f"subgroup_{part}.txt").read_text().split())
        assert group(camus, 5, part) == listed
    assert {path.name for path in (camus / "testing").iterdir()} == group(camus, 5, "testing")


def test_a_view_has_the_published_files_and_proportions(camus):
    folder = camus / "training" / min(group(camus, 5, "training"))
    stems = {f"{view}_{stem}" for view in ("2CH", "4CH") for stem in ("ED", "ES", "ED_gt", "ES_gt", "sequence")}
    names = {f"{folder.name}_{stem}.{end}" for stem in stems for end in ("mhd", "raw")}
    assert {path.name for path in folder.iterdir()} == names | {"Info_2CH.cfg", "Info_4CH.cfg"}
    for view in ("2CH", "4CH"):
        read = {
            stem[4:]: metaimage.read_metaimage(folder / f"{folder.name}_{stem}.mhd") for stem in stems if view in stem
        }
        info = read_pairs(folder / f"Info_{view}.cfg")
        assert read["sequence"].array.shape[2] == int(info["NbFrame"])
        cine = draw_cine(SETTINGS, folder.name, view)
        for stem, image in read.items():
            assert image.array.dtype == np.uint8
            assert image.spacing[0] == pytest.approx(2 * image.spacing[1])  # 0.308 and 0.154 mm
            extent = np.array(image.array.shape[:2]) * image.spacing[:2]
            np.testing.assert_allclose(extent, [cine.millimetres, cine.millimetres * 29 / 32], rtol=1e-6)
            assert stem == "sequence" or image.array.shape[2] == 1
        np.testing.assert_array_equal(read["ED"].array[..., 0], read["sequence"].array[..., 0])
        np.testing.assert_array_equal(read["ES"].array[..., 0], read["sequence"].array[..., -1])
        for phase, frame in (("ED", cine.end_diastole), ("ES", cine.end_systole)):
            mask, truth = read[f"{phase}_gt"].array[..., 0], cine.left_ventricle(frame)[:29]
            assert np.unique(mask).tolist() == [0, 1, 2, 3]
            np.testing.assert_array_equal(mask.T[::2] == 1, truth)
            np.testing.assert_array_equal(mask.T[1::2] == 1, truth)
        assert 100 * (1 - float(info["LVesv"]) / float(info["LVedv"])) == pytest.approx(float(info["LVef"]), abs=1)
