import dataclasses
import importlib.util
import json

import numpy as np
import pytest

from trainables.common.errors import UserError
from trainables.data.layouts.ted import Ted
from trainables.data.settings import DataSettings
from trainables.data.store.frames import FrameStore
from trainables.data.store.prepare import prepare
from trainables.downstream.finetune import finetune
from trainables.downstream.settings import DownstreamSettings
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.external.nnunet.dataset import NAME
from trainables.external.nnunet.settings import NnUNet
from trainables.networks.weight_files.read import WeightsFile
from trainables.phantom import PhantomSettings

THERE = importlib.util.find_spec("nnunetv2") is not None


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> FrameStore:
    phantom = PhantomSettings(subjects=8, frames=8, size=64)
    settings = DataSettings(layout=Ted(), phantom=phantom, image_size=32, fractions=(0.5, 0.2, 0.3))
    made = prepare(settings, None, tmp_path_factory.mktemp("data"), b"key", workers=1)
    index = np.array(made.index)
    index["spacing"] *= (1.0, 1.2)  # as where images of another aspect ratio become square
    return dataclasses.replace(made, index=index)


def settings_of(targets: str) -> DownstreamSettings:
    return DownstreamSettings(fit=FitSettings(1), targets=targets)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.skipif(not THERE, reason="nnunetv2 is not installed: make test-slow installs it")
@pytest.mark.parametrize(("configuration", "targets"), [("2d", "ed_es"), ("3d_fullres", "labelled")])
def test_it_trains_and_segments_the_frames_of_the_store(store, tmp_path, configuration, targets):
    reports = []
    runtime = LocalRuntime(on_report=lambda epoch, metrics: reports.append((epoch, metrics)))
    network = NnUNet(configuration, iterations=40)
    done = finetune(settings_of(targets), network, None, store, runtime, seed=0, test=True, scratch=tmp_path)
    assert [epoch for epoch, _ in reports] == [1]
    assert np.isfinite(reports[0][1]["loss"])
    assert done.test is not None
    assert done.test.masks.shape == (len(done.test.rows), 32, 32)
    assert set(store.index["split"][done.test.rows]) == {2}
    assert done.fitted.metrics["val/dice/lv"] > 0.3  # a shifted or rotated prediction has none
    assert done.state
    written = {path.name for path in (tmp_path / "nnUNet_raw" / NAME / "imagesTr").iterdir()}
    tested = store.rows("test")
    names = [f"frame_{row:07d}" for row in tested] + [f"sequence_{n:06d}" for n in store.index["sequence"][tested]]
    assert not any(name.startswith(tuple(names)) for name in written)
    plans = json.loads((tmp_path / "nnUNet_preprocessed" / NAME / "nnUNetPlans.json").read_text())
    assert plans["transpose_forward"] == [0, 1, 2]  # else it slices along rows or columns
    splits = json.loads((tmp_path / "nnUNet_preprocessed" / NAME / "splits_final.json").read_text())
    assert not set(splits[0]["train"]) & set(splits[0]["val"])
    again = finetune(settings_of(targets), network, None, store, LocalRuntime(), seed=0, test=True, scratch=tmp_path)
    np.testing.assert_array_equal(again.test.masks, done.test.masks)


@pytest.mark.slow
@pytest.mark.skipif(not THERE, reason="nnunetv2 is not installed: make test-slow installs it")
def test_tested_folds_segment_their_own_subjects_with_one_network(store, tmp_path):
    reports = []
    runtime = LocalRuntime(on_report=lambda epoch, metrics: reports.append(metrics))
    settings = DownstreamSettings(fit=FitSettings(1), folds=2, test="folds", validation="none")
    done = finetune(settings, NnUNet("2d", iterations=2), None, store, runtime, seed=0, test=True, scratch=tmp_path)
    labelled = store.rows("train", labelled=True)
    assert done.test.rows.tolist() == labelled.tolist()
    splits = json.loads((tmp_path / "nnUNet_preprocessed" / NAME / "splits_final.json").read_text())
    own_fold = json.loads((tmp_path / "train_config.json").read_text())["own_fold"]
    assert sorted(own_fold) == sorted(f"frame_{row:07d}" for row in labelled)
    for case, fold in own_fold.items():
        assert case in splits[1 - fold]["train"]
        assert case not in splits[fold]["train"]
    assert not any(name.startswith("val/") for metrics in [*reports, done.fitted.metrics] for name in metrics)


@pytest.mark.skipif(THERE, reason="nnunetv2 is installed")
def test_a_missing_package_is_one_clear_error(store):
    with pytest.raises(UserError, match=r"needs the package nnunetv2: pip install 'pretext-study\[nnunet\]'"):
        finetune(settings_of("ed_es"), NnUNet(), None, store, LocalRuntime(), seed=0)


def test_pretrained_weights_are_refused(store):
    with pytest.raises(UserError, match=r"nnunet starts from random weights or a file; expected pretext\.method"):
        finetune(settings_of("ed_es"), NnUNet(), {}, store, LocalRuntime(), seed=0)


def test_settings_that_it_would_ignore_are_refused(store):
    settings = DownstreamSettings(fit=FitSettings(1, batch_size=4), batch_norm="frozen", labels=2)
    with pytest.raises(UserError, match=r"takes the defaults only \(found batch_norm, fit\)\. Fix: remove them"):
        finetune(settings, NnUNet(), None, store, LocalRuntime(), seed=0)


@pytest.mark.slow
@pytest.mark.skipif(not THERE, reason="nnunetv2 is not installed: make test-slow installs it")
def test_a_checkpoint_of_an_earlier_run_starts_a_later_one(store, tmp_path):
    network, settings = NnUNet("2d", iterations=2), settings_of("ed_es")
    finetune(settings, network, None, store, LocalRuntime(), seed=0, test=True, scratch=tmp_path / "first")
    checkpoint = next((tmp_path / "first").rglob("checkpoint_final.pth"))
    start = WeightsFile(str(checkpoint))
    finetune(settings, network, start, store, LocalRuntime(), seed=1, test=True, scratch=tmp_path / "second")
    report = json.loads((tmp_path / "second" / "initial_weights.json").read_text())
    assert (report["share"], report["missing"]) == (1.0, [])
    assert all(".seg_layers." in name for name in report["left_over"])
