"""Problems of a configuration that are known before anything runs: its networks, starts, workers and memory."""

import pytest
from whole_studies import TINY, call

from study.config.definition import load_study
from study.planning.machine import Machine, this_machine
from study.planning.plan import Plan
from trainables.common.errors import UserError

NO_FACTORS = "factors={pretext.method: null, downstream.label_fraction: null}"
SMALL = Machine(cpus=2, gpus=0, gigabytes=0.001)
LARGE = Machine(cpus=2, gpus=0, gigabytes=1000.0)


def problems(*sets: str, machine: Machine | None = LARGE) -> list[str]:
    plan = Plan(load_study(str(TINY), sets=[NO_FACTORS, *sets]))
    return [problem for _, problem in plan.problems(machine)]


def test_a_valid_study_has_no_problem():
    assert problems() == []


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (
            ["network=unet", "pretext.method={name: imagenet, download: true}"],
            "unet cannot start from ImageNet weights",
        ),
        (
            ["network={name: linear, backbone: {name: timm, model: test_vit}}", "data.image_size=36"],
            "the nearest size that it accepts is 32",
        ),
        (
            ["network={name: linear, backbone: {name: timm, model: beit_base_patch16_224}}"],
            "Input height (32) doesn't match model (224).); the nearest size that it accepts is 224",
        ),
        (
            [
                "downstream.transfer={train: lora, lora: {layers: linear}}",
                "network.backbone={name: resnet_tiny, width: 4}",
            ],
            "downstream.transfer.lora.layers: TinyBackbone has none (found no linear layers)",
        ),
        (["network=nnunet"], "nnunet starts from random weights (found simclr)"),
        (["network=nnunet", "pretext.method=random", "resources.downstream.workers=2"], "trains with one worker"),
        (["downstream.transfer.load=network"], "simclr trains a backbone only"),
        (["downstream.fit.batch_size=1"], "cannot be trained on 1 image(s) of 32 pixels (Expected more than 1 value"),
        (["network={name: unet, backbone: {name: unet_encoder, depth: 6}}"], "Output size is too small"),
        (["resources.downstream.workers=3"], "downstream.fit.batch_size: no multiple of 3 workers (found 8)"),
        (["resources.pretext.workers=3"], "pretext.fit.batch_size: no multiple of 3 workers (found 8)"),
        (
            ["resources.downstream.workers=2", "downstream.transfer.freeze_epochs=1"],
            "freeze_epochs and multitask need a single worker",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(sets, message):
    assert any(message in problem for problem in problems(*sets))


def test_images_beyond_the_memory_are_refused_on_a_known_machine_only():
    huge = ("network={name: unet, backbone: {name: unet_encoder, width: 64}}", "data.image_size=4096")
    (first, *_) = problems(*huge, machine=this_machine())
    assert "a step on 2 image(s) of 4096 pixels takes at least" in first
    assert "found" in first
    assert problems(*huge, machine=None) == []


def test_a_run_refuses_a_network_beyond_the_memory_before_it_measures_anything(tmp_path, capsys):
    huge = "factors.network.backbone.width=[8, 4096]"
    code, said = call(capsys, "run", str(TINY), "--set", huge, "--workspace", str(tmp_path))
    assert code == 2, said
    assert "a step on 2 image(s) of 32 pixels takes at least 79.7 GB" in said
    assert not (tmp_path / "calibration.json").exists()


def test_memory_is_that_of_the_device_that_trains():
    assert any("on this machine" in problem for problem in problems(machine=SMALL))
    gpu = Machine(cpus=2, gpus=1, gigabytes=0.001, gpu_gigabytes=80.0)
    on_gpu = ("resources.downstream.gpus=1", "resources.pretext.gpus=1")
    assert problems(*on_gpu, machine=gpu) == []
    assert any("on a GPU" in problem for problem in problems(*on_gpu, machine=Machine(2, 1, 64.0, 0.001)))
    assert problems(*on_gpu, machine=SMALL) == []  # its GPUs are elsewhere


def test_recomputed_activations_are_not_counted():
    sets = ("network={name: unet, backbone: {name: unet_encoder, width: 8}}", "pretext.method=random")
    size = 0.006  # GB: more than its weights and less than its activations
    sets = (*sets, "data.image_size=128", "downstream.fit.precision=float32")
    tight = Machine(cpus=2, gpus=0, gigabytes=size)
    assert problems(*sets, machine=tight)
    assert problems(*sets, "downstream.fit.recompute=true", machine=tight) == []


def test_a_check_reports_every_problem_once():
    study = load_study(str(TINY), sets=[NO_FACTORS, "network=nnunet", "resources.downstream.workers=2"])
    with pytest.raises(UserError) as caught:
        Plan(study).check(LARGE)
    assert str(caught.value).count("trains with one worker") == 1
    assert "starts from random weights" in str(caught.value)
