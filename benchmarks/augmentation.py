"""SimCLR augmentation: views per second on one CPU core, compared with other libraries.

    python -m benchmarks.augmentation [--seconds 2] [--json FILE]

Random resized crop, flip, brightness and contrast with probability 0.8, Gaussian blur with probability 0.5, from a
decoded image to a float tensor; at 112 px, and from 256 to 224 px. Each program gets its usual input: lightly gets PIL
images in RGB and its SimCLR transform, including hue and grayscale; torchvision and albumentations get one uint8 image
at a time and kornia a float batch, all with one channel; ours gets a uint8 batch from the store. None normalizes. Each
runs in a separate process with one thread; the best of several repetitions counts. Programs that are not installed are
listed and skipped; benchmarks/requirements.txt lists the packages.
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
from benchmarks.peers import installed, run_in_fresh_process
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
BATCH, REPETITIONS = 128, 5
JITTER, SIGMA = 0.8, (0.1, 2.0)
Views = Callable[[int], int]
"""Function that augments a batch, given the repetition's number, and returns the number of views."""


@dataclass(frozen=True)
class Throughput:
    """Throughput of one program, with the side of the source and of the view in pixels."""

    program: str
    source: int
    size: int
    views_per_second: float


def smooth_images(side: int) -> torch.Tensor:
    """Return a batch of smooth random uint8 images `(BATCH, 1, side, side)`."""
    coarse = torch.rand(BATCH, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    return (F.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)


def blur_kernel(size: int) -> int:
    """Return SimCLR's blur kernel size: a tenth of the image's side, rounded to an odd number."""
    return 2 * (round(0.1 * size) // 2) + 1


def ours(images: torch.Tensor, size: int) -> Views:
    """Return a function that augments the batch by this project's policy."""
    policy = Policy(size=size)
    return lambda turn: len(policy.apply(images, None, BatchRNG(turn, BATCH, 0, BATCH))[0])


def by_lightly(images: torch.Tensor, size: int) -> Views:
    """Return a function that augments PIL images by lightly's SimCLR transform."""
    torchvision()  # lightly imports torchvision, which may lack its compiled operators
    from lightly.transforms import SimCLRTransform
    from PIL import Image

    transform = SimCLRTransform(input_size=size, normalize=None)
    pictures = [Image.fromarray(image[0].numpy()).convert("RGB") for image in images]
    return lambda _: sum(len(transform(picture)) for picture in pictures)


def by_torchvision(images: torch.Tensor, size: int) -> Views:
    """Return a function that augments single tensors by torchvision's v2 transforms."""
    torchvision()
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(size),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(JITTER, JITTER)], 0.8),
            v2.RandomApply([v2.GaussianBlur(blur_kernel(size), SIGMA)], 0.5),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    return lambda _: len([transform(image) for image in images])


def by_kornia(images: torch.Tensor, size: int) -> Views:
    """Return a function that augments a float batch by kornia."""
    torchvision()
    from kornia import augmentation

    transform: Any = torch.nn.Sequential(
        augmentation.RandomResizedCrop((size, size), scale=(0.08, 1.0)),
        augmentation.RandomHorizontalFlip(),
        augmentation.ColorJitter(JITTER, JITTER, p=0.8),
        augmentation.RandomGaussianBlur((blur_kernel(size), blur_kernel(size)), SIGMA, p=0.5),
    )
    return lambda _: len(transform(images.float() / 255))


def by_albumentations(images: torch.Tensor, size: int) -> Views:
    """Return a function that augments single arrays by albumentations."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations

    transform = albumentations.Compose(
        [
            albumentations.RandomResizedCrop((size, size)),
            albumentations.HorizontalFlip(),
            albumentations.ColorJitter((1 - JITTER, 1 + JITTER), (1 - JITTER, 1 + JITTER), 0, 0, p=0.8),
            albumentations.GaussianBlur((blur_kernel(size), blur_kernel(size)), SIGMA, p=0.5),
            albumentations.ToFloat(255),
        ]
    )
    arrays = [np.ascontiguousarray(image.permute(1, 2, 0)) for image in images]
    return lambda _: len([torch.from_numpy(transform(image=array)["image"]).permute(2, 0, 1) for array in arrays])


TRANSFORMS = dict(zip(PROGRAMS, (ours, by_lightly, by_torchvision, by_kornia, by_albumentations), strict=True))


def measure(program: str, source: int, size: int, seconds: float) -> Throughput:
    """Measure one program's throughput; call it in a fresh process."""
    torch.set_num_threads(1)
    views, best, number = TRANSFORMS[program](smooth_images(source), size), 0.0, 0
    views(0)
    for _ in range(REPETITIONS):
        started, made = time.perf_counter(), 0
        while time.perf_counter() - started < seconds / REPETITIONS:
            number += 1
            made += views(number)
        best = max(best, made / (time.perf_counter() - started))
    return Throughput(program, source, size, best)


def main() -> None:
    """Print one line for each program and size."""
    parser = results.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of measurement for each program and size")
    options = parser.parse_args()
    available = installed(PROGRAMS)
    found = []
    for source, size in SIZES:
        for program in available:
            found.append(run_in_fresh_process(measure, program, source, size, options.seconds))
    print(f"{'program':<15} {'from':>5} {'to':>5} {'views per second':>17} {'speed-up':>10}")
    own = {(each.source, each.size): each.views_per_second for each in found if each.program == "ours"}
    for each in found:
        ratio = own[each.source, each.size] / each.views_per_second
        print(f"{each.program:<15} {each.source:>5} {each.size:>5} {each.views_per_second:>17,.0f} {ratio:>9.1f}x")
    results.write(options.json, found)


if __name__ == "__main__":
    main()
