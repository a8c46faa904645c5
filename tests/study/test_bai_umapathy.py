"""Bai et al. (2019) and Umapathy et al. (2022) as the papers ran them: subjects, frames, schedules and heads."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from settings_walk import NETWORK, PLAIN, SHORT, walked_store
from toys import toy_store

from study.config.chain_remarks import chain_remarks
from study.config.definition import load_study
from trainables.common.errors import DataError
from trainables.data.layouts.ted import Ted
from trainables.data.sampling.splits import split_subjects
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.data.store.prepare import prepare
from trainables.data.store.selection import select
from trainables.downstream.data import resolve_data
from trainables.downstream.settings import DownstreamSettings
from trainables.downstream.torch_trainer import TorchTrainer
from trainables.downstream.transfer import Transfer
from trainables.engine.best_checkpoint import BestCheckpoint
from trainables.engine.runtime import LocalRuntime
from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.pretext.denoise import Denoise
from trainables.pretext.position import PositionPrediction
from trainables.pretext.pretrain import PretextSettings, epoch_rows, pretrain

BAI = ("bai2019_short_axis", "bai2019_long_axis")


@pytest.mark.parametrize("name", BAI)
def test_bai_trains_on_up_to_100_of_200_subjects_and_keeps_the_last_epoch(name):
    spec = load_study(name, profile="paper").spec
    parts = list(split_subjects(list(map(str, range(200))), spec.data.fractions, 0).values())
    assert (parts.count("train"), parts.count("val"), parts.count("test")) == (100, 0, 100)
    fit = spec.downstream.fit
    assert fit.evaluate_every == fit.epochs
    assert fit.epochs * (fit.steps_per_epoch or 0) == 50_000


def test_the_demo_has_all_arms_of_the_paper_at_equal_steps_and_judges_its_pretraining():
    paper, demo = (load_study(BAI[0], profile=profile) for profile in ("paper", "demo"))
    levels = [{cell.levels["method"] for cell in study.cells()} for study in (paper, demo)]
    assert levels[0] == levels[1]
    fits = [demo.resolve(cell.overrides).downstream.fit for cell in demo.cells()]
    assert fits == [fits[0]] * len(fits)
    assert fits[0].steps_per_epoch is not None
    assert demo.spec.data.structures == ("lv", "myocardium", "rv")
    phantom = demo.spec.data.phantom
    assert phantom is not None
    parts = list(split_subjects(list(map(str, range(phantom.subjects))), demo.spec.data.fractions, 0).values())
    assert [parts.count(each) for each in ("train", "val", "test")] == [100, 10, 50]


def test_subjects_without_masks_are_no_loss_and_add_images_of_ed_and_es_alone(tmp_path):
    root = tmp_path / "raw"
    PHANTOMS["ukbb"].write(root, PhantomSettings(subjects=4, frames=8, size=48, slices=5), None)
    unlabelled = sorted(root.iterdir())[2:]
    for folder in unlabelled:
        for mask in folder.glob("label_*"):
            mask.unlink()
    layout = load_study(BAI[0], profile="paper").spec.data.layout
    split: dict[str, Any] = {"split": "fractions", "fractions": (1, 1, 0)}
    settings = DataSettings(layout=layout, path=str(root), image_size=48, **split)
    assert not [issue for issue in check(settings, root).issues if issue.severity != "note"]
    store = prepare(settings, None, tmp_path / "work", b"key")
    assert len(store.split_subjects("train")) == 3
    for image, view in (("short_axis", "SA"), ("long_axis", "4CH")):
        method = PositionPrediction(image=image, cines=False)  # type: ignore[arg-type]
        rows = method.rows(store, store.rows("train"))
        every = PositionPrediction(image=image).rows(store, store.rows("train"))  # type: ignore[arg-type]
        assert set(store.index["view"][rows]) == {store.views.index(view)}
        per_subject = [np.sum(store.index["subject"][rows] == s) for s in np.unique(store.index["subject"][rows])]
        assert per_subject == [2 * (5 if view == "SA" else 1)] * 3  # two moments of so many slices
        assert len(every) > len(rows) or view == "SA"


def test_multitask_goes_on_from_the_head_of_the_pretraining():
    store = toy_store(24, size=16)
    method = Denoise()
    done = pretrain(PretextSettings(method, SHORT, PLAIN, guard="off"), NETWORK, store, LocalRuntime(), seed=0)
    settings = DownstreamSettings(transfer=Transfer("multitask", "network", method=method), fit=SHORT)
    data = resolve_data(settings, store, None, 0, temporal=False, test=False, sequences=False)
    trainer = TorchTrainer(settings, NETWORK, done.weights)
    trainer.train_fold(data, data.folds[0], LocalRuntime(), 0)
    pretext = method.build(*(getattr(NETWORK.build(1, 2), part) for part in ("backbone", "decoder")), PLAIN, store)
    assert not torch.equal(pretext.network.head.weight, done.weights["pretext_head.weight"])
    trainer._restore_head(pretext)
    assert torch.equal(pretext.network.head.weight, done.weights["pretext_head.weight"])


@pytest.mark.parametrize(
    ("name", "labelled", "parts"), [("umapathy2022_prostate", 32, (15, 3, 14)), ("umapathy2022_liver", 31, (21, 2, 8))]
)
def test_umapathy_pretrains_on_all_volumes_and_has_the_supervised_benchmark(name, labelled, parts):
    study = load_study(name, profile="paper")
    split = list(split_subjects(list(map(str, range(labelled))), study.spec.data.fractions, 0).values())
    assert tuple(split.count(each) for each in ("train", "val", "test")) == parts
    assert f"method=random,labels={parts[0]}" in {cell.key for cell in study.cells()}
    for cell in study.cells():
        spec = study.resolve(cell.overrides)
        assert spec.downstream.fit.schedule.monitor == "loss"
        if cell.levels["method"] != "random":
            assert all((s.splits, s.fit.schedule.monitor) == ("all", "loss") for s in spec.pretext.chain)


def test_all_splits_pretrain_without_their_masks():
    store = walked_store()
    settings = PretextSettings(Denoise(), SHORT, PLAIN, "all")
    assert len(epoch_rows(settings, store, "train", 0)(0)) == len(store.rows("train"))
    everything = replace(settings, splits="all")
    assert len(epoch_rows(everything, store, "train", 0)(0)) == len(store)
    assert len(epoch_rows(everything, store, "val", 0)(0)) == len(store.rows("val"))
    drawn = epoch_rows(replace(everything, frames="one_per_sequence"), store, "train", 0)(0)
    assert sorted(store.index["sequence"][drawn]) == list(range(18))


def test_a_schedule_follows_the_loss_where_it_says_so():
    best = BestCheckpoint("dice", higher_is_better=True)
    history = [{"val/dice": 0.5, "val/loss": 2.0}, {"val/dice": 0.6, "val/loss": 3.0}]
    assert best.monitored(history) == [0.5, 0.6]
    assert best.monitored(history, "loss") == [-2.0, -3.0]


def test_an_override_that_reaches_the_last_step_of_a_chain_alone_is_said():
    sets = ["pretext.fit.epochs=3"]
    study = load_study("umapathy2022_prostate", sets=sets)
    assert chain_remarks(study, sets) == [
        "pretext.fit.epochs is 3, but the pretraining before it (pretext.init_from) keeps 1000. "
        "Change it there, too, if you mean both"
    ]
    assert chain_remarks(study, ["seed=1", "pretext.init_from.fit.epochs=3"]) == []


def test_excluded_subjects_are_in_no_split(tmp_path):
    root = tmp_path / "raw"
    PHANTOMS["ted"].write(root, PhantomSettings(subjects=4, frames=8, size=32), None)
    settings = DataSettings(layout=Ted(), path=str(root), image_size=32, split="fractions", exclude=("patient002",))
    chosen = select(root, Ted().scan(root), settings, [])
    assert sorted(chosen.splits) == ["patient001", "patient003", "patient004"]
    with pytest.raises(DataError, match="exclude names the subject 'patient9', whom the dataset does not have"):
        select(root, Ted().scan(root), replace(settings, exclude=("patient9",)), [])
