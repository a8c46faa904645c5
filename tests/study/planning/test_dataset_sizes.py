"""Sizes of phantoms that are not written yet, compared with those that are."""

from collections import Counter

import pytest

from study.planning.dataset_check import labels_of_store
from study.planning.dataset_sizes import dataset_sizes, outline_dataset
from trainables.data.layouts.acdc import Acdc
from trainables.data.layouts.decathlon import Decathlon
from trainables.data.layouts.echonet import EchoNetDynamic
from trainables.data.layouts.ted import Ted
from trainables.data.records import SPLITS
from trainables.data.settings import DataSettings
from trainables.data.store.prepare import prepare
from trainables.phantom import PhantomSettings

SHARES = (0.5, 0.2, 0.3)


@pytest.mark.parametrize(
    ("layout", "fractions", "split"),
    [
        (EchoNetDynamic(), (0.4, 0.3, 0.3), "auto"),
        (EchoNetDynamic(), (0.4, 0.3, 0.3), "fractions"),
        (EchoNetDynamic(), (0.6, 0.0, 0.4), "auto"),
        (EchoNetDynamic(), (1.0, 0.0, 0.0), "auto"),
        (Acdc(), (0.4, 0.3, 0.3), "auto"),
        (Acdc(), (0.4, 0.3, 0.3), "fractions"),
        (Ted(), (0.8, 0.1, 0.1), "auto"),
        (Decathlon(channels=("T2",)), (0.8, 0.1, 0.1), "fractions"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str | tuple) else str(value),
)
def test_a_phantom_has_the_subjects_that_are_expected_of_it(tmp_path, layout, fractions, split):
    phantom = PhantomSettings(subjects=11, frames=8, size=32, slices=4, fractions=fractions)
    settings = DataSettings(layout=layout, phantom=phantom, image_size=16, split=split, fractions=SHARES)
    store = prepare(settings, None, tmp_path, b"key", workers=1)
    found = Counter(part for part, name in {(part, name) for part, _, name in labels_of_store(store)})
    expected = Counter(part for part, _, _ in outline_dataset(settings).labelled)
    assert expected == found
    sequences = dataset_sizes(settings).sequences
    assert {part: sequences[part] for part in SPLITS} == {part: len(store.split_subjects(part)) for part in SPLITS}
