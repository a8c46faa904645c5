from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from toys import toy_store

from trainables.augment.color import Color
from trainables.augment.policy import Policy
from trainables.common.errors import DataError, UserError
from trainables.data.store.frames import FrameStore
from trainables.downstream.finetune import finetune
from trainables.downstream.labels import labelled_subjects
from trainables.downstream.settings import DownstreamSettings
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import UNet, UNetEncoder

STORE = toy_store(60, size=16)
NETWORK = UNet(backbone=UNetEncoder(width=4, depth=2))


def settings(**changed: object) -> DownstreamSettings:
    fit = FitSettings(epochs=20, batch_size=8, optimizer=Adam(lr=1e-2), precision="float32")
    return DownstreamSettings(**{"fit": fit, "augment": Policy(strength=0)} | changed)  # type: ignore[arg-type]


def test_an_easy_segmentation_is_learned_and_tested_on_the_test_split():
    done = finetune(settings(), NETWORK, None, STORE, LocalRuntime(), seed=0, test=True)
    assert done.fitted.metrics["val/dice"] > 0.9
    assert done.test is not None
    assert set(done.test.rows) == set(STORE.rows("test"))
    assert done.test.dice.mean() > 0.9
    truth = STORE.masks[STORE.index["mask"][done.test.rows]]
    overlap = [2 * (m & t).sum() / (m.sum() + t.sum()) for m, t in zip(done.test.masks, truth, strict=True)]
    np.testing.assert_allclose(done.test.dice[:, 0], overlap, atol=1e-12)


def test_the_test_split_is_only_read_for_a_test(monkeypatch):
    rows = create_autospec(FrameStore.rows, side_effect=FrameStore.rows)
    monkeypatch.setattr(FrameStore, "rows", rows)
    done = finetune(settings(), NETWORK, None, STORE, LocalRuntime(), seed=0)
    assert done.test is None
    splits = [call.args[1] for call in rows.call_args_list]
    assert "train" in splits
    assert "test" not in splits


def test_subsets_are_nested_over_fractions_and_differ_between_seeds():
    small, large = (set(labelled_subjects(settings(label_fraction=f), STORE, seed=4)) for f in (0.1, 0.5))
    assert small < large
    assert (len(small), len(large)) == (2, 10)
    assert set(labelled_subjects(settings(labels=3), STORE, seed=4)) > small
    assert small != set(labelled_subjects(settings(label_fraction=0.1), STORE, seed=5))
    assert large <= set(STORE.split_subjects("train"))


def test_a_pretrained_backbone_is_where_training_starts():
    torch.manual_seed(9)
    state = {f"backbone.{name}": value for name, value in NETWORK.backbone.build(1).state_dict().items()}
    frozen = settings(fit=FitSettings(epochs=1, batch_size=8, optimizer=Adam(lr=1e-12), precision="float32"))
    done = finetune(frozen, NETWORK, state, STORE, LocalRuntime(), seed=0)
    for name, value in state.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(done.state[name], value)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"label_fraction is 1\.5"):
        settings(label_fraction=1.5)
    with pytest.raises(ValueError, match="labels is 0"):
        settings(labels=0)


def test_a_batch_that_workers_cannot_share_evenly_is_refused():
    runtime = LocalRuntime()
    runtime.world_size = 3
    with pytest.raises(UserError, match=r"batch_size is 8, expected a multiple of its 3 workers"):
        finetune(settings(), NETWORK, None, STORE, runtime, seed=0)


def test_color_operations_are_refused_before_the_training_of_gray_images():
    colored = settings(augment=Policy(color=Color()))
    with pytest.raises(DataError, match=r"^downstream\.augment\.color: needs images in colour"):
        finetune(colored, NETWORK, None, STORE, LocalRuntime(), seed=0)
