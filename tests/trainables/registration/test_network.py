import pytest
import torch

from trainables.registration.network import DLIR

SIZES = [(64, 64), (50, 71)]


def pair(size: tuple[int, int], batch: int = 2, channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    fixed, moving = torch.rand(2, batch, channels, *size, generator=generator).unbind()
    return fixed, moving


def stirred(settings: DLIR, size: tuple[int, int], channels: int = 1) -> torch.nn.Module:
    """A network whose heads are no longer zero."""
    torch.manual_seed(0)
    network = settings.build(channels, size)
    for stage in network.stages:
        torch.nn.init.normal_(stage.head.weight)
    return network


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_a_new_network_is_the_identity(size, stages):
    network = DLIR(grid_spacing=8, stages=stages, kernels=4).build(1, size)
    steps = network(*pair(size))
    assert len(steps) == stages
    assert torch.equal(steps[-1].displacement, torch.zeros(2, 2, *size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("settings", [DLIR(8, 1, 4), DLIR(16, 1, 4, 5), DLIR(8, 2, 4)])
def test_every_stage_gives_a_full_grid(size, settings):
    network = stirred(settings, size, channels=3)
    steps = network(*pair(size, channels=3))
    assert [step.spline.spacing for step in steps] == [
        settings.grid_spacing * 2**level for level in reversed(range(settings.stages))
    ]
    for step in steps:
        assert step.control.shape == (2, 2, *step.spline.control_size)
        assert step.displacement.shape == (2, 2, *size)


def test_a_stage_learns_from_its_own_loss_alone():
    network = stirred(DLIR(8, 2, 4), (32, 32))
    network(*pair((32, 32)))[-1].displacement.square().mean().backward()
    assert all(p.grad is None for p in network.stages[0].parameters())
    assert all(p.grad is not None for p in network.stages[1].parameters())


def test_control_points_depend_only_on_their_neighbourhood():
    """Check that a change in one corner of the images moves the control points there, not those far off."""
    network = stirred(DLIR(8, 1, 8), (128, 128)).eval()
    fixed, moving = pair((128, 128), batch=1)
    other = moving.clone()
    other[..., :8, :8] = 1 - other[..., :8, :8]
    change = (network(fixed, moving)[0].control - network(fixed, other)[0].control).abs().sum(1)[0]
    assert change[:4, :4].max() > 0
    assert change[-8:, -8:].max() == 0


def test_control_points_are_not_rounded_to_half_precision():
    network = stirred(DLIR(8, 1, 8), (32, 32)).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        control = network(*pair((32, 32)))[0].control
    assert control.dtype == torch.float32
    assert not torch.equal(control, control.bfloat16().float())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grid_spacing": 12}, "grid_spacing is 12, expected a power of two"),
        ({"stages": 0}, "stages 0"),
        ({"kernel_size": 0}, "kernel_size is 0, expected a whole number from 1 up"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DLIR(**settings)


@pytest.mark.parametrize("kernel", [3, 4, 32])
def test_kernels_of_any_size_keep_the_size_of_the_images(kernel):
    """The registration paper has kernels of 32 x 32."""
    network = DLIR(grid_spacing=16, kernels=2, kernel_size=kernel).build(1, (48, 40))
    assert network.stages[0].encoder[0][0][0].weight.shape == (2, 2, kernel, kernel)
    assert network.displacement(torch.rand(1, 1, 48, 40), torch.rand(1, 1, 48, 40)).shape == (1, 2, 48, 40)
