"""Check of a study's datasets by their use: fine-tuning needs labels in each split, pretraining does not."""

import pytest
from whole_studies import TINY

from study.config.definition import load_study
from study.planning.dataset_check import check_datasets
from study.planning.dataset_sizes import dataset_sizes
from study.planning.plan import finetuning_datasets
from trainables.common.errors import DataError
from trainables.data.layouts.camus import Camus
from trainables.data.settings import DataSettings
from trainables.phantom import PhantomSettings, write_camus

UNLABELLED_SPLITS = "{layout: echonet, phantom: {subjects: 4, frames: 8, size: 32, fractions: [1, 0, 0]}}"


def test_only_the_dataset_to_finetune_on_needs_labels_in_each_split():
    assert check_datasets(load_study(str(TINY), sets=[f"pretext_data={UNLABELLED_SPLITS}"])) == []
    with pytest.raises(DataError, match="EchoNet-Dynamic: no labelled subject in val, test"):
        check_datasets(load_study(str(TINY), sets=["data.phantom.fractions=[1, 0, 0]"]))


def test_a_dataset_without_a_folder_is_named():
    assert check_datasets(load_study(str(TINY), sets=["data.phantom=null"])) == ["echonet"]


def test_each_dataset_of_the_cells_is_listed_once():
    study = load_study(str(TINY), sets=["factors.data.image_size=[32, 48]"])
    assert [settings.image_size for settings in finetuning_datasets(study)] == [32, 48]


def test_sizes_are_of_the_selected_views(tmp_path):
    write_camus(tmp_path, PhantomSettings(subjects=4, frames=8, size=32, fractions=(0.5, 0.25, 0.25)))
    every, one = (
        dataset_sizes(DataSettings(layout=Camus(), path=str(tmp_path), views=views)) for views in (None, ("4CH",))
    )
    assert one.sequences["train"] == every.sequences["train"] / 2
