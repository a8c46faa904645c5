import pytest
import torch
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batches
from trainables.downstream.finetune import finetune
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.multitask import Alternating, MultiTask
from trainables.downstream.segmentation import Segmentation
from trainables.downstream.settings import DownstreamSettings
from trainables.downstream.transfer import Transfer
from trainables.engine.optim.optimizers import SGD, Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.engine.trainer import fit
from trainables.networks import UNet, UNetEncoder
from trainables.pretext.denoise import Denoise
from trainables.pretext.simclr import SimCLR

STORE = toy_store(48, size=16)
NETWORK = UNet(UNetEncoder(width=4, depth=2, norm="instance"))
PLAIN = Policy(crop=None, flip=None, jitter=None, blur=None)


def parts():
    torch.manual_seed(3)
    network = NETWORK.build(1, 2)
    segmentation = Segmentation(network, DiceCrossEntropy(), PLAIN, STORE)
    pretext = Denoise().build(network.backbone, network.decoder, PLAIN, STORE)
    return segmentation, pretext


def batches():
    rows = STORE.rows("train")
    return Batches(STORE, rows[:10], 2, 1, masks=True), Batches(STORE, rows, 6, 2, keep_tail=False)


def test_one_step_of_the_pretext_comes_before_every_beta_steps_of_segmentation():
    labelled, unlabelled = batches()
    both = Alternating(labelled, unlabelled, 2)
    assert len(both) == 8  # 5 and 3
    kinds, seen = [], []
    for epoch in range(3):
        for batch in both.epoch(epoch):
            kinds.append(batch.masks is not None)
            if batch.masks is None:
                seen.append(batch.rows.tolist())
        if epoch == 0:
            assert kinds == [False, True, True, False, True, True, False, True]
    expected = [batch.rows.tolist() for epoch in range(5) for batch in unlabelled.epoch(epoch)]
    assert seen == expected[:9]


def test_multitask_training_alternates_two_tasks_on_one_network():
    segmentation, pretext = parts()
    labelled, unlabelled = batches()
    settings = FitSettings(2, 2, SGD(lr=0.05, momentum=0.9), precision="float32")
    fit(MultiTask(segmentation, pretext), Alternating(labelled, unlabelled, 2), None, settings, LocalRuntime(), 0)
    by_hand, other = parts()
    together = {id(p): p for task in (by_hand, other) for p in task.parameters()}
    rate = torch.optim.SGD(list(together.values()), lr=0.05, momentum=0.9)
    by_hand.train()
    other.train()
    for epoch in range(2):
        for batch in Alternating(labelled, unlabelled, 2).epoch(epoch):
            rate.zero_grad()
            (by_hand if batch.masks is not None else other).training_step(batch)["loss"].backward()
            rate.step()
    for (name, found), (_, wanted) in zip(segmentation.state_dict().items(), by_hand.state_dict().items(), strict=True):
        torch.testing.assert_close(found, wanted, msg=name)
    for found, wanted in zip(pretext.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(found, wanted)


def test_both_tasks_are_learned_and_segmentation_is_evaluated():
    transfer = Transfer(train="multitask", method=Denoise(), beta=2)
    schedule = FitSettings(20, 4, Adam(lr=5e-3), precision="float32")
    settings = DownstreamSettings(transfer=transfer, augment=PLAIN, fit=schedule)
    done = finetune(settings, NETWORK, None, STORE, LocalRuntime(), seed=0)
    assert done.fitted.metrics["val/dice"] > 0.85
    history = done.fitted.history
    assert history[-1]["pretext_loss"] < history[0]["pretext_loss"]
    assert set(done.state) == set(NETWORK.build(1, 2).state_dict())


def test_settings_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match="expected one where train is 'multitask'"):
        Transfer(train="multitask")
    with pytest.raises(ValueError, match="expected one where train is 'multitask'"):
        Transfer(method=Denoise())
    with pytest.raises(ValueError, match="method SimCLR: expected one that trains the whole network"):
        Transfer(train="multitask", method=SimCLR())
