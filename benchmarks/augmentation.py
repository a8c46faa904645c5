"""SimCLR's augmentation: views a second on one CPU core, beside lightly, torchvision, kornia and albumentations.

    python -m benchmarks.augmentation [--seconds 2] [--json FILE]

Random resized crop, flip, brightness and contrast with probability 0.8, Gaussian blur with probability 0.5, from a
decoded image to a float tensor; at 112 px, and from 256 to 224 px. Each program gets what its users have: lightly PIL
images in RGB and its own SimCLR transform, hue and greying included; torchvision and albumentations one uint8 image at
a time and kornia a float batch, all of one channel; ours a uint8 batch from the store. None normalises. Each runs in a
process of its own with one thread; the best of several turns counts. Programs that are not installed are named as
absent; benchmarks/requirements.txt has them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks import results
from benchmarks.peers import alone, installed
from trainables.augment.batch_rng import BatchRNG
from trainables.augment.policy import Policy
from trainables.networks.torchvision_ops import torchvision

PROGRAMS = {
    "ours": None,
    "lightly": "lightly",
    "torchvision": None,
    "kornia": "kornia",
    "albumentations": "albumentations",
}
SIZES = ((112, 112), (256, 224))
BATCH, TURNS = 128, 5
JITTER, SIGMA = 0.8, (0.1, 2.0)
Views = Callable[[int], int]
"""Makes views of a batch, in the turn of that number; gives how many."""


@dataclass(frozen=True)
class Measured:
    """Of one program at one size, from pixels a side to pixels a side."""

    program: str
    source: int
    size: int
    views_per_second: float


def pictures(side: int) -> torch.Tensor:
    """A uint8 batch that is smooth as images are."""
    coarse = torch.rand(BATCH, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    return (F.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)


def kernel(size: int) -> int:
    """SimCLR's: a tenth of the image, odd."""
    return 2 * (round(0.1 * size) // 2) + 1


def ours(images: torch.Tensor, size: int) -> Views:
    policy = Policy(size=size)
    return lambda turn: len(policy.apply(images, None, BatchRNG(turn, BATCH, 0, BATCH))[0])


def by_lightly(images: torch.Tensor, size: int) -> Views:
    torchvision()  # lightly imports it, and it may need our help
    from lightly.transforms import SimCLRTransform
    from PIL import Image

    transform = SimCLRTransform(input_size=size, normalize=None)
    pictures = [Image.fromarray(image[0].numpy()).convert("RGB") for image in images]
    return lambda _: sum(len(transform(picture)) for picture in pictures)


def by_torchvision(images: torch.Tensor, size: int) -> Views:
    torchvision()
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(size),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(JITTER, JITTER)], 0.8),
            v2.RandomApply([v2.GaussianBlur(kernel(size), SIGMA)], 0.5),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    return lambda _: len([transform(image) for image in images])


def by_kornia(images: torch.Tensor, size: int) -> Views:
    torchvision()
    from kornia import augmentation

    transform: Any = torch.nn.Sequential(
        augmentation.RandomResizedCrop((size, size), scale=(0.08, 1.0)),
        augmentation.RandomHorizontalFlip(),
        augmentation.ColorJitter(JITTER, JITTER, p=0.8),
        augmentation.RandomGaussianBlur((kernel(size), kernel(size)), SIGMA, p=0.5),
    )
    return lambda _: len(transform(images.float() / 255))


def by_albumentations(images: torch.Tensor, size: int) -> Views:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations

    transform = albumentations.Compose(
        [
            albumentations.RandomResizedCrop((size, size)),
            albumentations.HorizontalFlip(),
            albumentations.ColorJitter((1 - JITTER, 1 + JITTER), (1 - JITTER, 1 + JITTER), 0, 0, p=0.8),
            albumentations.GaussianBlur((kernel(size), kernel(size)), SIGMA, p=0.5),
            albumentations.ToFloat(255),
        ]
    )
    arrays = [np.ascontiguousarray(image.permute(1, 2, 0)) for image in images]
    return lambda _: len([torch.from_numpy(transform(image=array)["image"]).permute(2, 0, 1) for array in arrays])


WAYS = dict(zip(PROGRAMS, (ours, by_lightly, by_torchvision, by_kornia, by_albumentations), strict=True))


def measure(program: str, source: int, size: int, seconds: float) -> Measured:
    """In this process, which should be a fresh one."""
    torch.set_num_threads(1)
    views, best, number = WAYS[program](pictures(source), size), 0.0, 0
    views(0)
    for _ in range(TURNS):
        started, made = time.perf_counter(), 0
        while time.perf_counter() - started < seconds / TURNS:
            number += 1
            made += views(number)
        best = max(best, made / (time.perf_counter() - started))
    return Measured(program, source, size, best)


def main() -> None:
    """Print a line a program and size."""
    parser = results.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    there = installed(PROGRAMS)
    found = []
    for source, size in SIZES:
        for program in there:
            found.append(alone(measure, program, source, size, options.seconds))
    print(f"{'program':<15} {'from':>5} {'to':>5} {'views a second':>15} {'ours is':>10}")
    own = {(each.source, each.size): each.views_per_second for each in found if each.program == "ours"}
    for each in found:
        ratio = own[each.source, each.size] / each.views_per_second
        print(f"{each.program:<15} {each.source:>5} {each.size:>5} {each.views_per_second:>15,.0f} {ratio:>9.1f}x")
    results.write(options.json, found)


if __name__ == "__main__":
    main()
