"""Saeed et al. (2022) as the paper ran it: which frames are pretrained on, and BYOL at its printed learning rate."""

from dataclasses import replace

import numpy as np
import pytest
from settings_walk import walked_store
from toys import sequence_store

from study.config.definition import load_study
from study.config.spec import ImageNetStart
from trainables.engine.runtime import LocalRuntime
from trainables.networks import BACKBONES
from trainables.pretext.byol import BYOL
from trainables.pretext.pretrain import epoch_rows, pretrain
from trainables.pretext.simclr import SimCLR


@pytest.mark.parametrize("name", ["saeed2022_camus", "saeed2022_echonet"])
def test_imagenet_starts_deeplabv3_alone(name):
    study = load_study(name, profile="paper")
    cells = [cell for cell in study.cells() if cell.levels["method"] == "imagenet"]
    assert [(cell.levels["network"], cell.levels["label_fraction"]) for cell in cells] == [
        ("deeplabv3", fraction) for fraction in ("1.0", "0.5", "0.25", "0.05")
    ]
    assert isinstance(study.resolve(cells[0].overrides).pretext.method, ImageNetStart)
    assert len(study.cells()) == 28


@pytest.mark.parametrize("name", ["saeed2022_camus", "saeed2022_echonet"])
def test_one_frame_of_each_video_is_drawn_once(name):
    settings = replace(load_study(name, profile="paper").spec.pretext, method=SimCLR())
    store = sequence_store(["ED", "", "", "", "", "ES"] * 20, 6)
    fixed = epoch_rows(settings, store, "train", 0)
    assert len(fixed(0)) == 20
    assert (np.diff(store.index["sequence"][fixed(0)]) == 1).all()
    assert not store.index["phase"][fixed(0)].any()  # strictly between end-diastole and end-systole
    assert all(np.array_equal(fixed(epoch), fixed(0)) for epoch in range(5))
    drawn = epoch_rows(replace(settings, frames="one_per_sequence"), store, "train", 0)
    assert not np.array_equal(drawn(0), drawn(1))


@pytest.mark.parametrize("network", ["deeplabv3", "unet"])
def test_byol_at_its_printed_learning_rate_ends(network):
    """The paper prints what it reaches, .8816 and .8318 with 5% of the labels: less than random weights."""
    study = load_study("saeed2022_echonet", profile="paper")
    (cell,) = (c for c in study.cells() if tuple(c.levels.values()) == (network, "byol", "0.05"))
    settings = study.resolve(cell.overrides).pretext
    assert settings.guard == "warn"
    assert settings.fit.optimizer.lr == 0.2
    assert settings.method == BYOL(momentum=0.99)  # of 300 epochs (Grill et al. 2020, appendix F)
    small = replace(settings, method=replace(settings.method, hidden=16, projection=8))
    small = replace(small, fit=replace(settings.fit, epochs=10, batch_size=6, steps_per_epoch=2, evaluate_every=10))
    backbone = {
        "deeplabv3": BACKBONES["resnet_tiny"](width=4),  # type: ignore[call-arg]
        "unet": BACKBONES["unet_encoder"](width=4, depth=4, norm="none"),  # type: ignore[call-arg]
    }[network]
    done = pretrain(small, backbone, walked_store(), LocalRuntime(), seed=0)
    assert len(done.fitted.history) == 10
