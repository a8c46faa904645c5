"""Check of a study's datasets by their use: fine-tuning needs labels in each split, pretraining does not."""

import pytest
from whole_studies import TINY

from study.config.definition import load_study
from study.planning.dataset_check import check_datasets, labels_of_store, planned_labels, require_labels
from study.planning.dataset_sizes import dataset_sizes, outline_dataset
from study.planning.full_check import full_check
from study.planning.plan import datasets_of, finetuning_datasets
from study.storage.workspace import Workspace
from trainables.common.errors import DataError
from trainables.data.layouts.camus import Camus
from trainables.data.records import SPLITS
from trainables.data.settings import DataSettings
from trainables.data.store.prepare import prepare
from trainables.phantom import PhantomSettings, write_camus, write_echonet

UNLABELLED_SPLITS = "{layout: echonet, phantom: {subjects: 4, frames: 8, size: 32, fractions: [1, 0, 0]}}"


def test_only_the_dataset_to_finetune_on_needs_labels_in_each_split():
    assert check_datasets(load_study(str(TINY), sets=[f"pretext_data={UNLABELLED_SPLITS}"])) == []
    with pytest.raises(DataError, match="EchoNet-Dynamic: no labelled subject in val, test"):
        check_datasets(load_study(str(TINY), sets=["data.split=fractions", "data.fractions=[1, 0, 0]"]))


@pytest.mark.parametrize("validation", [["none"], ["cross_validation", "downstream.folds=2"]])
def test_where_nobody_validates_no_validation_subject_is_needed_but_by_a_probe(validation):
    first, *more = validation
    splits = ["data.split=fractions", "data.fractions=[0.6, 0, 0.4]"]
    sets = [*splits, "search.space=null", f"downstream.validation={first}", *more]
    assert check_datasets(load_study(str(TINY), sets=sets)) == []
    with pytest.raises(DataError, match=r"subject in val \(expected at least one in each of train, val, test\)"):
        check_datasets(load_study(str(TINY), sets=[*sets, "pretext.probe={}"]))
    with pytest.raises(DataError, match=r"subject in test \(expected at least one in each of train, test\)"):
        check_datasets(load_study(str(TINY), sets=[*sets, "data.fractions=[0.6, 0.4, 0]"]))


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


@pytest.mark.parametrize(
    ("sets", "reason"),
    [
        (["factors.downstream.labels=[2, 30]"], "downstream.labels is 30, the training split has 12 labelled subjects"),
        (["downstream.folds=20"], "downstream.folds is 20, expected at most the 10 labelled subjects there are"),
    ],
)
def test_more_labels_or_folds_than_there_are_subjects_name_the_cell(sets, reason):
    study = load_study(str(TINY), sets=["factors.downstream.label_fraction=[0.5]", *sets])
    with pytest.raises(DataError, match=rf"EchoNet-Dynamic: {reason} \(cell .*\)"):
        check_datasets(study)


def test_labels_are_counted_in_the_views_that_are_used():
    study = load_study(str(TINY), sets=["downstream.views=[4CH]", "downstream.labels=2"])
    settings = study.spec.data
    labelled = {(split, view, f"{split}{n}") for split in SPLITS for view in ("4CH", "2CH") for n in range(2)}
    require_labels(study, settings, labelled)
    for left in (labelled - {("train", "4CH", "train1")}, {one for one in labelled if one[1] == "2CH"}):
        with pytest.raises(DataError, match=r"training split has 1 |no labelled subject in train, val, test of the vi"):
            require_labels(study, settings, left)


def test_a_prepared_store_counts_like_its_listing(tmp_path):
    write_camus(tmp_path / "data", PhantomSettings(subjects=4, frames=8, size=32, fractions=(0.5, 0.25, 0.25)))
    settings = DataSettings(layout=Camus(), path=str(tmp_path / "data"), image_size=32)
    listed = outline_dataset(settings).labelled
    stored = labels_of_store(prepare(settings, None, tmp_path / "s", b"key"))
    assert len(stored) == len(listed) == 8
    assert {one[:2] for one in stored} == {one[:2] for one in listed}


def test_a_full_check_refuses_what_only_the_files_show(tmp_path):
    root, place = tmp_path / "data", Workspace(tmp_path / "ws")
    write_echonet(root, PhantomSettings(subjects=6, frames=8, size=32, fractions=(0.5, 0.25, 0.25)))
    sets = ["factors.downstream.label_fraction=[1.0]", "downstream.labels=3", "data.tolerance=0.5"]
    study = load_study(str(TINY), sets=[*sets, "data.on_error=skip"], data=[f"echonet={root}"])
    (settings,) = datasets_of(study)
    assert full_check(settings, root, None, study, place).refusal == ""
    torn = next(one for part, _, one in sorted(outline_dataset(settings).labelled) if part == "train")
    video = root / "Videos" / f"{torn}.avi"
    video.write_bytes(video.read_bytes()[:300])
    assert check_datasets(study) == []  # the listing does not show it
    report = full_check(settings, root, None, study, place)
    assert "downstream.labels is 3, the training split has 2 labelled subjects" in report.refusal
    assert full_check(settings, root, None, None, place).refusal == ""


def test_a_full_check_verifies_the_frame_store(tmp_path):
    root, place = tmp_path / "data", Workspace(tmp_path / "ws")
    write_echonet(root, PhantomSettings(subjects=6, frames=8, size=32, fractions=(0.5, 0.25, 0.25)))
    settings = DataSettings(path=str(root), image_size=32)
    store = prepare(settings, None, place.data, place.subject_key())
    assert full_check(settings, root, None, None, place).refusal == ""
    images = store.folder / "images.npy"
    content = bytearray(images.read_bytes())
    content[5000:10000] = bytes(255 - value for value in content[5000:10000])
    images.write_bytes(content)
    assert "stored frames have changed" in full_check(settings, root, None, None, place).refusal


def test_color_operations_are_refused_for_a_dataset_without_colors(tmp_path):
    root, place = tmp_path / "data", Workspace(tmp_path / "runs")
    write_echonet(root, PhantomSettings(subjects=9, frames=8, size=32, fractions=(1, 1, 1)))
    pretext = load_study(str(TINY), sets=["pretext.augment.color={}"], data=[f"echonet={root}"])
    downstream = load_study(str(TINY), sets=["downstream.augment.color={hue: 0.1}"], data=[f"echonet={root}"])
    for study, where in ((pretext, "pretext"), (downstream, "downstream")):
        (settings,) = datasets_of(study)
        with pytest.raises(
            DataError, match=rf"^{where}\.augment\.color: needs images in colour \(found the channels g"
        ):
            check_datasets(study)
        assert full_check(settings, root, None, study, place).refusal.startswith(f"{where}.augment.color: ")


def test_labels_of_each_cell_are_counted_from_the_listing():
    study = load_study(str(TINY), sets=["factors.pretext.method=[random]", "downstream.validation=same"])
    counts = planned_labels(study)
    assert [str(each) for each in counts.values()] == [
        "6 training + 2 validation subjects",
        "12 training + 4 validation subjects",
    ]
    assert planned_labels(load_study(str(TINY), sets=["data.phantom=null"])) == {}


def test_more_validation_subjects_than_there_are_name_the_cell():
    study = load_study(str(TINY), sets=["downstream.validation=9"])
    with pytest.raises(DataError, match=r"downstream.validation is 9, the validation split has 4 .*\(cell method"):
        check_datasets(study)
