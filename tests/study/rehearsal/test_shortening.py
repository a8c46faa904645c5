from study.config.definition import load_study
from study.rehearsal.shortening import shortened, shortened_spec
from trainables.downstream.settings import DownstreamSettings
from trainables.downstream.transfer import Transfer
from trainables.engine.optim.schedules import Cosine
from trainables.engine.settings import FitSettings
from trainables.external.nnunet import NnUNet
from trainables.external.nnunet.trainer import ignored_settings
from trainables.pretext.pretrain import PretextSettings

LONG = FitSettings(
    epochs=300, batch_size=64, evaluate_every=25, steps_per_epoch=500, schedule=Cosine(warmup_epochs=10), micro_batch=8
)


def test_runs_become_two_steps_and_their_sizes_stay():
    brief = shortened(LONG)
    assert (brief.epochs, brief.steps_per_epoch, brief.evaluate_every) == (2, 1, 2)
    assert (brief.batch_size, brief.micro_batch, brief.schedule) == (64, 8, LONG.schedule)


def test_every_step_of_a_chain_is_shortened_and_the_guard_only_warns():
    chain = shortened(PretextSettings(fit=LONG, init_from=PretextSettings(fit=LONG, guard="off"))).chain
    assert [step.fit.epochs for step in chain] == [2, 2]
    assert [step.guard for step in chain] == ["off", "warn"]


def test_folds_frozen_epochs_and_external_steps_are_shortened():
    brief = shortened(DownstreamSettings(folds=5, fit=LONG, transfer=Transfer(freeze_epochs=20), labels=7))
    assert (brief.folds, brief.transfer.freeze_epochs, brief.labels) == (2, 1, 7)
    assert shortened(DownstreamSettings()).folds is None
    assert shortened(NnUNet(iterations=250)).iterations == 1


def test_another_trainer_is_given_no_settings_that_it_would_refuse():
    brief = shortened_spec(load_study("temporal_camus", profile="paper").resolve({}))
    assert (brief.downstream.fit.epochs, brief.downstream.folds, brief.network) == (2, 2, NnUNet(iterations=1))
    assert ignored_settings(brief.downstream) == []
    own = shortened_spec(load_study("temporal_camus", profile="unet").resolve({}))
    assert own.downstream.fit.steps_per_epoch == 1


def test_few_propagated_subjects_do_not_lack_labels():
    assert shortened(DownstreamSettings(targets="propagated", labels=100)).labels is None


def test_other_settings_stay_the_very_same():
    policy = DownstreamSettings().augment
    assert shortened(policy) is policy
    assert shortened({"a": (policy, 1)}) == {"a": (policy, 1)}
