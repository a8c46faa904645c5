from dataclasses import replace

import pytest
import torch
from toys import toy_store

from trainables.augment.color import Color
from trainables.augment.geometry import Crop
from trainables.augment.intensity import Jitter
from trainables.augment.policy import Policy
from trainables.common.errors import DataError, UserError
from trainables.data.records import RGB
from trainables.data.store.synthetic_store import synthetic_store
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import UNet, UNetEncoder
from trainables.pretext import METHODS
from trainables.pretext.barlow import BarlowTwins
from trainables.pretext.byol import BYOL
from trainables.pretext.denoise import Denoise
from trainables.pretext.method import Method
from trainables.pretext.moco import MoCo
from trainables.pretext.monitoring.probe import Probe
from trainables.pretext.pretrain import PretextSettings, pretrain
from trainables.pretext.simclr import SimCLR
from trainables.pretext.vicreg import VICReg

STORE = toy_store(48, size=16)
BACKBONE = UNetEncoder(width=4, depth=2)
NETWORK = UNet(BACKBONE)
SMALL: list[Method] = [
    SimCLR(temperature=0.5, projection=8),
    BYOL(hidden=16, projection=8, momentum=0.9),
    MoCo(hidden=16, projection=8, momentum=0.9),
    VICReg(projection=8),
    BarlowTwins(projection=8),
]


def settings(method: Method, epochs: int = 4, size: int = 8) -> PretextSettings:
    views = Policy(crop=Crop((0.6, 1.0)), jitter=Jitter(0.2, 0.2), blur=None)
    return PretextSettings(method, FitSettings(epochs, size, Adam(lr=3e-3), precision="float32"), views)


@pytest.mark.parametrize("method", SMALL, ids=lambda m: type(m).__name__)
def test_the_loss_falls_and_the_run_shows_whether_it_collapses(method):
    history = pretrain(settings(method, epochs=25), BACKBONE, STORE, LocalRuntime(), seed=0).fitted.history
    assert sum(row["loss"] for row in history[-5:]) < 0.95 * sum(row["loss"] for row in history[:5])
    assert {"val/loss", "val/embedding_std", "val/effective_rank", "gradient_norm", "learning_rate"} <= history[
        -1
    ].keys()
    assert 1 <= history[-1]["val/effective_rank"] <= 8


class Killed(Exception):
    pass


@pytest.mark.parametrize("method", SMALL, ids=lambda m: type(m).__name__)
def test_a_killed_pretraining_ends_bitwise_like_an_uninterrupted_one(tmp_path, method):
    def kill(epoch: int, metrics: object) -> None:
        if epoch == 2:
            raise Killed

    whole = pretrain(settings(method), BACKBONE, STORE, LocalRuntime(), seed=3).weights
    with pytest.raises(Killed):
        pretrain(settings(method), BACKBONE, STORE, LocalRuntime(tmp_path, kill, save_every=0), seed=3)
    resumed = pretrain(settings(method), BACKBONE, STORE, LocalRuntime(tmp_path, save_every=0), seed=3).weights
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("method", SMALL, ids=lambda m: type(m).__name__)
def test_overlapped_evaluation_has_the_metrics_of_sequential_evaluation(method):
    def metrics(*, overlapped: bool) -> list[dict[str, float]]:
        chosen = replace(settings(method), probe=Probe(frames=8, pixels=16))
        chosen = replace(chosen, fit=replace(chosen.fit, overlap_evaluation=overlapped))
        history = pretrain(chosen, BACKBONE, STORE, LocalRuntime(), seed=3).fitted.history
        return [{name: value for name, value in row.items() if name != "images_per_second"} for row in history]

    beside = metrics(overlapped=True)
    assert "val/probe_dice" in beside[0]
    assert beside == metrics(overlapped=False)


def test_the_byol_target_changes_only_by_its_ema_update():
    torch.manual_seed(0)
    task = SMALL[1].build(BACKBONE.build(1), Policy(), STORE)
    trained = {id(p) for group in task.parameter_groups() for p in group["params"]}
    assert not trained & {id(p) for p in task.target.parameters()}  # type: ignore[union-attr]


def test_a_batch_that_workers_cannot_share_evenly_is_refused():
    runtime = LocalRuntime()
    runtime.world_size = 3
    with pytest.raises(UserError, match=r"batch_size is 8, expected a multiple of its 3 workers"):
        pretrain(settings(SMALL[0]), BACKBONE, STORE, runtime, seed=0)


def test_the_methods_of_the_papers_are_there_by_name():
    assert {"simclr", "byol"} <= set(METHODS)


def test_a_method_for_networks_leaves_backbone_and_decoder_and_one_for_backbones_only_that():
    done = pretrain(settings(Denoise()), NETWORK, STORE, LocalRuntime(), seed=0)
    assert {name.partition(".")[0] for name in done.weights} == {"backbone", "decoder", "pretext_head"}
    assert set(NETWORK.build(1, 5).state_dict()) - done.weights.keys() == {"head.weight", "head.bias"}
    local_only = pretrain(settings(SMALL[0]), NETWORK, STORE, LocalRuntime(), seed=0)
    same = pretrain(settings(SMALL[0]), BACKBONE, STORE, LocalRuntime(), seed=0)
    assert {name.partition(".")[0] for name in local_only.weights} == {"backbone"}
    assert all(torch.equal(local_only.weights[name], same.weights[name]) for name in local_only.weights)
    with pytest.raises(UserError, match="Denoise trains a whole network"):
        pretrain(settings(Denoise()), BACKBONE, STORE, LocalRuntime(), seed=0)


def test_a_pretraining_starts_from_the_weights_of_another():
    slow = PretextSettings(Denoise(), FitSettings(1, 8, Adam(lr=1e-12), precision="float32"))
    first = pretrain(settings(SMALL[0]), BACKBONE, STORE, LocalRuntime(), seed=0).weights
    done = pretrain(slow, NETWORK, STORE, LocalRuntime(), seed=1, start=first)
    for name, value in first.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(done.weights[name], value)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_states_its_sign_of_learning(name):
    sign = METHODS[name]().sign
    assert sign is not None
    assert 0 <= sign.weak < sign.learned < 1
    assert sign.advice


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"position", "local_contrastive"}))
def test_methods_take_colors_as_they_take_gray_levels(method):
    """Pretrain on colors; the other methods need planes in the patient, or the weights of an earlier stage."""
    store = synthetic_store(sequences=8, size=32, frames=1, channels=RGB)
    chosen = replace(settings(METHODS[method](), epochs=1), augment=Policy(color=Color()))
    done = pretrain(chosen, NETWORK, store, LocalRuntime(), 0)
    assert next(iter(done.weights.values())).shape[1] == 3


def test_color_operations_are_refused_before_the_training_of_gray_images():
    colored = replace(settings(SMALL[0]), augment=Policy(color=Color()))
    with pytest.raises(DataError, match=r"^pretext\.augment\.color: needs images in colour"):
        pretrain(colored, BACKBONE, STORE, LocalRuntime(), seed=0)
