from dataclasses import replace

import numpy as np
import pytest
import torch

from trainables.common.errors import DataError, UserError
from trainables.data.sampling.batches import Batches
from trainables.engine.optim.optimizers import Adam
from trainables.engine.optim.schedules import Polynomial
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.metrics.overlap import dice
from trainables.registration.alignment import Alignment
from trainables.registration.network import DLIR
from trainables.registration.pairs import labelled_ends
from trainables.registration.similarity import GlobalNCC
from trainables.registration.training import RegistrationSettings, train_registration

SMALL = RegistrationSettings(
    network=DLIR(grid_spacing=16, kernels=8),
    fit=FitSettings(4, 8, Adam(lr=1e-2, amsgrad=True), precision="float32"),
    pairs="all",
)


def test_training_without_labels_aligns_labels(sequences):
    settings = replace(SMALL, fit=replace(SMALL.fit, epochs=25))
    fitted = train_registration(settings, sequences, LocalRuntime(), seed=0).fitted
    found = fitted.metrics
    assert found["val/ncc"] > found["val/ncc_before"] + 0.05
    assert found["val/dice"] > found["val/dice_before"] + 0.05
    assert found["val/folded"] == 0
    assert found["val/loss"] == pytest.approx(min(row["val/loss"] for row in fitted.history))
    assert {"val/dice/disc", "val/dice/ring", "bending"} <= found.keys()


def test_metrics_before_training_are_those_of_no_motion(sequences):
    network = SMALL.network.build(1, (48, 48))
    task = Alignment(network, GlobalNCC(), 1.0, sequences).eval()
    ends = labelled_ends(sequences, "val")
    with torch.no_grad():
        found = task.evaluate(Batches(sequences, ends, 2, masks=True, shuffle=False).epoch())
    masks = torch.from_numpy(sequences.masks[sequences.index["mask"][ends]]).long()
    expected = dice(masks[:, 1], masks[:, 0], 3).numpy()
    images = sequences.images[ends].reshape(len(ends), 2, -1)
    correlation = np.mean([np.corrcoef(*pair)[0, 1] for pair in images])
    assert found["dice"] == found["dice_before"] == pytest.approx(expected.mean())
    assert found["dice/ring"] == pytest.approx(expected[:, 1].mean())
    assert found["ncc"] == pytest.approx(correlation, abs=1e-5)
    assert found["ncc"] == pytest.approx(found["ncc_before"], abs=1e-6)
    assert found["loss"] == pytest.approx(-correlation, abs=1e-5)
    assert found["folded"] == 0


def test_an_epoch_has_the_steps_that_are_asked_for(sequences):
    """100 epochs of 100 steps are 10,000 iterations, however many pairs there are."""
    settings = replace(SMALL, fit=replace(SMALL.fit, epochs=2, steps_per_epoch=3, schedule=Polynomial(power=1.0)))
    fitted = train_registration(settings, sequences, LocalRuntime(), seed=0).fitted
    assert [row["learning_rate"] for row in fitted.history] == pytest.approx([1e-2 * 4 / 6, 1e-2 / 6])


class Killed(Exception):
    pass


@pytest.mark.parametrize("settings", [SMALL, replace(SMALL, network=DLIR(8, 2, 4), pairs="one_per_sequence")])
def test_a_killed_training_ends_bitwise_like_an_uninterrupted_one(tmp_path, sequences, settings):
    def kill(epoch: int, metrics: object) -> None:
        if epoch == 2:
            raise Killed

    whole = train_registration(settings, sequences, LocalRuntime(), seed=3).state
    with pytest.raises(Killed):
        train_registration(settings, sequences, LocalRuntime(tmp_path, kill, save_every=0), seed=3)
    resumed = train_registration(settings, sequences, LocalRuntime(tmp_path, save_every=0), seed=3).state
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_loss_is_that_of_the_paper(sequences):
    """-NCC + alpha x bending energy."""
    torch.manual_seed(0)
    network = SMALL.network.build(1, (48, 48))
    torch.nn.init.normal_(network.stages[0].head.weight, std=3.0)
    batch = next(iter(Batches(sequences, labelled_ends(sequences, "train"), 2).epoch()))
    losses = [Alignment(network, GlobalNCC(), alpha, sequences).training_step(batch) for alpha in (0.0, 5.0)]
    assert losses[0]["loss"].item() == pytest.approx(-losses[0]["ncc"].item())
    assert losses[0]["bending"].item() > 1e-4
    difference = losses[1]["loss"].item() - losses[0]["loss"].item()
    assert difference == pytest.approx(5 * losses[0]["bending"].item(), rel=1e-3)


def test_bad_input_is_refused(sequences):
    with pytest.raises(ValueError, match="alpha is -1"):
        RegistrationSettings(alpha=-1)
    runtime = LocalRuntime()
    runtime.world_size = 3
    with pytest.raises(UserError, match=r"batch_size is 8, expected a multiple of its 3 workers"):
        train_registration(SMALL, sequences, runtime, seed=0)
    single = replace(sequences, index=sequences.index.copy())
    single.index["split"] = np.where(single.index["sequence"] == 6, 0, 1)
    with pytest.raises(DataError, match="no sequence of two frames"):
        train_registration(SMALL, single, LocalRuntime(), seed=0)
