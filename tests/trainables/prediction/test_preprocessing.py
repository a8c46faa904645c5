import json

import numpy as np
import pytest

from trainables.data.layouts import LAYOUTS
from trainables.data.layouts.camus import Camus
from trainables.data.settings import DataSettings
from trainables.data.store.build import build_store
from trainables.data.store.frames import FrameStore
from trainables.phantom import PHANTOMS, PhantomSettings, phantom_form
from trainables.prediction.preprocessing import Preprocessing


def test_it_is_json_and_comes_from_the_store(tmp_path):
    layout = Camus()
    PHANTOMS[phantom_form(layout, None)].write(tmp_path / "raw", PhantomSettings(subjects=6, frames=8, size=32), None)
    settings = DataSettings(layout=layout, image_size=16, structures=("lv",))
    (tmp_path / "store").mkdir()
    build_store(tmp_path / "raw", settings, b"key", tmp_path / "store", workers=1)
    store = FrameStore.open(tmp_path / "store")
    found = Preprocessing.of_store(settings, store)
    assert found == Preprocessing(16, ("grey",), store.mean, store.std, ("background", "lv"), "display", None)
    assert Preprocessing.from_plain(json.loads(json.dumps(found.plain()))) == found
    train = store.images[store.rows("train")] / 255
    np.testing.assert_allclose((found.mean, found.std), ([train.mean()], [train.std()]), rtol=1e-6)


@pytest.mark.parametrize(("pixel_mm", "spacing", "resized"), [(None, None, (16, 16)), (2.0, (1.0, 1.0), (10, 20))])
def test_the_square_lies_on_an_image_as_the_store_puts_it(pixel_mm, spacing, resized):
    grid = Preprocessing(16, ("grey",), (0.0,), (1.0,), ("background",), pixel_mm=pixel_mm).grid((20, 40), spacing)
    assert grid.resized == resized


def test_a_resolution_needs_a_spacing():
    assert Preprocessing(16, ("grey",), (0.0,), (1.0,), ("background",), pixel_mm=1.0).grid((20, 40), None) is None


def test_each_layout_states_its_rule_of_grey_levels():
    found = {name: layout.grey for name, layout in LAYOUTS.items()}
    stretched = dict.fromkeys(("acdc", "mnms", "mnms2", "ukbb", "cardiac_dicom", "decathlon", "chaos"), "stretched")
    assert found == {"camus": "display", "ted": "display", "echonet": "uint8", "manifest": "uint8", **stretched}
