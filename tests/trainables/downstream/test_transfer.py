from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.common.errors import UserError
from trainables.downstream.finetune import finetune
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation
from trainables.downstream.settings import DownstreamSettings
from trainables.downstream.transfer import Transfer, parameter_groups
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import BACKBONES, DeepLabV3, SmpEncoder, Timm, TinyResNet, UNet, UNetEncoder
from trainables.networks.lora import LoRA, adapters, add_adapters
from trainables.networks.normalise import Normalise
from trainables.pretext.denoise import Denoise

STORE = toy_store(36, size=16)
NETWORK = UNet(UNetEncoder(width=4, depth=2))


def start(*parts):
    torch.manual_seed(5)
    state = NETWORK.build(1, 2).state_dict()
    return {key: value.clone() for key, value in state.items() if key.partition(".")[0] in parts}


def settings(transfer, epochs=2):
    plain = Policy(crop=None, flip=None, jitter=None, blur=None)
    fit = FitSettings(epochs, 4, Adam(lr=1e-2), precision="float32")
    return DownstreamSettings(transfer=transfer, loss=DiceCrossEntropy(), fit=fit, augment=plain)


def changed(before, after):
    return {key for key, value in before.items() if not torch.equal(after[key], value)}


def test_all_weights_and_statistics_change():
    begun = start("backbone")
    done = finetune(settings(Transfer()), NETWORK, begun, STORE, LocalRuntime(), seed=0)
    assert changed(begun, done.state) == begun.keys()


def test_a_decoder_alone_leaves_every_tensor_of_the_backbone():
    begun = start("backbone")
    done = finetune(settings(Transfer(train="decoder")), NETWORK, begun, STORE, LocalRuntime(), seed=0)
    assert changed(begun, done.state) == set()
    fresh = finetune(settings(Transfer(train="decoder"), epochs=1), NETWORK, begun, STORE, LocalRuntime(), seed=0)
    assert changed({k: v for k, v in fresh.state.items() if k.startswith("decoder.")}, done.state)


def test_the_backbone_is_let_go_after_its_epochs():
    begun = start("backbone")
    for epochs, free in ((2, False), (3, True)):
        done = finetune(settings(Transfer(freeze_epochs=2), epochs), NETWORK, begun, STORE, LocalRuntime(), seed=0)
        last = done.fitted.epoch == epochs
        assert bool(changed(begun, done.state)) == (free and last)


class Killed(Exception):
    pass


def test_a_killed_run_ends_bitwise_like_an_uninterrupted_one(tmp_path):
    def kill(epoch, metrics):
        if epoch == 2:
            raise Killed

    wanted = settings(Transfer(freeze_epochs=3, layer_decay=0.5), epochs=5)
    whole = finetune(wanted, NETWORK, start("backbone"), STORE, LocalRuntime(), seed=2)
    with pytest.raises(Killed):
        finetune(wanted, NETWORK, start("backbone"), STORE, LocalRuntime(tmp_path, kill, save_every=0), seed=2)
    resumed = finetune(wanted, NETWORK, start("backbone"), STORE, LocalRuntime(tmp_path, save_every=0), seed=2)
    assert not changed(whole.state, resumed.state)


def test_a_whole_network_is_loaded_if_requested_and_pretrained():
    fit = FitSettings(1, 4, Adam(lr=1e-12), precision="float32")
    slow = DownstreamSettings(transfer=Transfer(load="network"), fit=fit)
    begun = start("backbone", "decoder")
    done = finetune(slow, NETWORK, begun, STORE, LocalRuntime(), seed=0)
    for key, value in begun.items():
        if "running" not in key and "num_batches" not in key:
            torch.testing.assert_close(done.state[key], value)
    other = finetune(DownstreamSettings(fit=fit), NETWORK, begun, STORE, LocalRuntime(), seed=0)
    weights = {k: v for k, v in begun.items() if k.startswith("decoder.levels") and k.endswith("weight")}
    assert changed(weights, other.state)
    with pytest.raises(UserError, match="the pretext trained a backbone only"):
        finetune(slow, NETWORK, start("backbone"), STORE, LocalRuntime(), seed=0)


@pytest.mark.parametrize("network", [NETWORK, DeepLabV3(TinyResNet(width=4), rates=(1, 2, 3), width=8)])
def test_the_rate_falls_from_stage_to_stage_towards_the_image(network):
    built = network.build(1, 2)
    groups = parameter_groups(built, Transfer(layer_decay=0.5))
    stages = len(built.backbone.stages())
    assert [group.get("lr_scale", 1.0) for group in groups] == [0.5 ** (stages - k) for k in range(stages)] + [1.0]
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in built.parameters())


def test_the_backbone_may_have_a_rate_of_its_own():
    built = NETWORK.build(1, 2)
    groups = parameter_groups(built, Transfer(backbone_rate=0.1))
    rates = {id(p): group.get("lr_scale", 1.0) for group in groups for p in group["params"]}
    assert {rates[id(p)] for p in built.backbone.parameters()} == {0.1}
    assert {rates[id(p)] for part in (built.decoder, built.head) for p in part.parameters()} == {1.0}
    both = parameter_groups(built, Transfer(backbone_rate=0.1, layer_decay=0.5))
    assert both[-2]["lr_scale"] == pytest.approx(0.05)


def statistics(state):
    return {key: value for key, value in state.items() if "running_" in key and key.startswith("backbone.")}


def test_frozen_norms_keep_the_statistics_of_a_pretrained_backbone_only():
    begun, frozen = start("backbone"), replace(settings(Transfer()), batch_norm="frozen")
    done = finetune(frozen, NETWORK, begun, STORE, LocalRuntime(), seed=0)
    assert changed(statistics(begun), done.state) == set()
    assert changed(begun, done.state) == begun.keys() - {k for k in begun if "running_" in k or "tracked" in k}
    random, trained = (
        finetune(each, NETWORK, None, STORE, LocalRuntime(), seed=0) for each in (frozen, settings(Transfer()))
    )
    assert changed(random.state, trained.state) == set()


def test_recalibrated_norms_have_the_statistics_of_all_training_frames():
    done = finetune(
        replace(settings(Transfer()), batch_norm="recalibrated", labels=1), NETWORK, None, STORE, LocalRuntime(), seed=0
    )
    network = NETWORK.build(1, 2)
    network.load_state_dict(done.state)
    seen = []
    first = next(module for module in network.backbone.modules() if isinstance(module, torch.nn.BatchNorm2d))
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].mean((0, 2, 3))))
    images = torch.from_numpy(np.asarray(STORE.images[STORE.rows("train")])).float() / 255
    with torch.no_grad():
        network.eval()(Normalise(STORE.mean, STORE.std)(images))
    torch.testing.assert_close(first.running_mean, seen[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "bad", [{"transfer": Transfer(train="multitask", method=Denoise())}, {"fit": FitSettings(overlap_evaluation=True)}]
)
def test_recalibration_is_refused_where_it_would_disturb_training(bad):
    with pytest.raises(ValueError, match="batch_norm is recalibrated"):
        replace(settings(Transfer()), batch_norm="recalibrated", **bad)


OF_LIBRARIES = (Timm, SmpEncoder)
"""Backbones of other libraries, whose stages are tested with them."""


@pytest.mark.parametrize("name", [name for name, kind in BACKBONES.items() if kind not in OF_LIBRARIES])
def test_the_stages_hold_every_parameter_once(name):
    backbone = BACKBONES[name]().build(1)
    held = [id(p) for stage in backbone.stages() for p in stage.parameters()]
    assert sorted(held) == sorted(id(p) for p in backbone.parameters())


def test_more_labelled_subjects_than_there_are_is_an_error():
    with pytest.raises(UserError, match=r"downstream.labels is 50, the training split has 12 labelled subjects"):
        finetune(DownstreamSettings(labels=50), NETWORK, None, STORE, LocalRuntime(), seed=0)


@pytest.mark.parametrize("bad", [{"backbone_rate": 0}, {"layer_decay": 0}, {"layer_decay": 1.5}, {"freeze_epochs": -1}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        Transfer(**bad)


def test_adapters_train_and_are_merged_into_low_rank_changes(tmp_path):
    begun = start("backbone")
    low = settings(Transfer("lora", lora=LoRA(rank=1, layers="conv")), epochs=4)
    done = finetune(low, NETWORK, begun, STORE, LocalRuntime(), seed=0)
    assert done.state.keys() == NETWORK.build(1, 2).state_dict().keys()
    assert changed(begun, done.state) == {key for key, value in begun.items() if value.ndim == 4}  # no batch norm
    change = done.state["backbone.levels.1.0.weight"] - begun["backbone.levels.1.0.weight"]
    assert torch.linalg.matrix_rank(change.flatten(1), rtol=1e-3) == 1
    resumed = killed_and_resumed(low, begun, tmp_path)
    assert not changed(done.state, resumed.state)


def killed_and_resumed(wanted, begun, folder):
    def kill(epoch, metrics):
        if epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        finetune(wanted, NETWORK, begun, STORE, LocalRuntime(folder, kill, save_every=0), seed=0)
    return finetune(wanted, NETWORK, begun, STORE, LocalRuntime(folder, save_every=0), seed=0)


def test_adapters_have_the_rate_of_their_stage_and_rest_in_the_first_epochs():
    built = NETWORK.build(1, 2)
    add_adapters(built.backbone, LoRA(rank=1))
    transfer = Transfer("lora", layer_decay=0.5, freeze_epochs=2)
    groups = parameter_groups(built, transfer)
    held = {id(p) for group in groups for p in group["params"]}
    trained = [*adapters(built.backbone), *built.decoder.parameters(), *built.head.parameters()]
    assert held == {id(p) for p in trained}
    assert [group.get("lr_scale", 1.0) for group in groups] == [0.125, 0.25, 0.5, 1.0]
    task = Segmentation(built, DiceCrossEntropy(), Policy(), STORE, transfer)
    for epoch, free in ((0, False), (2, True)):
        task.before_epoch(epoch)
        assert {p.requires_grad for p in adapters(built.backbone)} == {free}
        assert not built.backbone.state_dict(keep_vars=True)["levels.0.0.base_layer.weight"].requires_grad


def test_settings_of_adapters_belong_to_lora():
    with pytest.raises(ValueError, match=r"lora: expected only where train is 'lora' \(found 'all'\)"):
        Transfer(lora=LoRA())
