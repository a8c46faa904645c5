import torch
from torch import nn

from trainables.engine.runtime import LocalRuntime, to_device
from trainables.registration.network import DLIR

CPU = torch.device("cpu")


def is_channels_last(module: nn.Conv2d) -> bool:
    return module.weight.is_contiguous(memory_format=torch.channels_last) and not module.weight.is_contiguous()


def test_kernels_are_channels_last():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 1, stride=2))
    assert is_channels_last(to_device(network, CPU)[0])


def test_a_narrow_strided_pointwise_convolution_keeps_the_default_layout_and_trains():
    """In channels-last layout its backward pass corrupts memory on some CPUs."""
    network = to_device(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 1, stride=2)), CPU)
    assert network[0].weight.is_contiguous()
    for _ in range(5):
        network(torch.randn(16, 1, 18, 18)).sum().backward()
    assert torch.isfinite(network[1].weight.grad).all()


def test_large_kernels_keep_the_default_layout_unless_they_do_not_overlap():
    """In channels-last layout the backward pass of overlapping ones is 80 times slower."""
    registration = DLIR(grid_spacing=4, kernels=2, kernel_size=32).build(1, (16, 16))
    kernels = [part.weight for part in to_device(registration, CPU).modules() if isinstance(part, nn.Conv2d)]
    assert all(kernel.is_contiguous() for kernel in kernels)
    assert is_channels_last(to_device(nn.Conv2d(3, 8, 16, stride=16), CPU))
    assert is_channels_last(to_device(nn.Conv2d(3, 8, 7), CPU))


def test_a_runtime_sets_the_flags_of_gpus():
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    LocalRuntime(device=CPU)
    assert torch.backends.cudnn.benchmark
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
