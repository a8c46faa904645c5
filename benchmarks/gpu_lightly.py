"""SimCLR in lightly with Lightning, for the comparison of the GPU benchmark.

On equal terms: the same network, for grey images, in channels-last layout and bf16, with a fused optimizer and measured
cuDNN kernels; the clock starts when the batches that its loader prepared before the first step are used up.
"""

from __future__ import annotations

import os
from typing import Any

import torch

from benchmarks.gpu_sizes import BenchmarkSizes, synchronized_time
from trainables.data.store.synthetic_store import synthetic_store
from trainables.networks.torchvision_ops import torchvision

WARM_UP = 5
"""Steps before the clock starts."""

AHEAD = 2
"""Batches that each process of the loader prepares in advance."""


class LightlyImages(torch.utils.data.Dataset[Any]):
    """Dataset that applies lightly's SimCLR transform to grey PIL images in memory."""

    def __init__(self, size: int, count: int) -> None:
        from lightly.transforms import SimCLRTransform

        self._transform = SimCLRTransform(input_size=size, normalize={"mean": [0.5], "std": [0.3]})
        self._count, self._images = count, synthetic_store(64, size, 1).images[:, 0]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        from PIL import Image

        return self._transform(Image.fromarray(self._images[index % 64]))


def by_lightly(scale: BenchmarkSizes) -> float:
    """Return the images per second of SimCLR in lightly with Lightning, with data loading on all cores."""
    torchvision()
    import pytorch_lightning
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead

    workers = os.cpu_count() or 1 if scale.device.type == "cuda" else 0
    begin = WARM_UP + workers * AHEAD
    marks: dict[int, float] = {}

    class Model(pytorch_lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = scale.backbone.build(1).to(memory_format=torch.channels_last)
            width = self.backbone.channels[-1]
            self.head, self.loss = SimCLRProjectionHead(width, width, 128), NTXentLoss(0.5)

        def training_step(self, batch: Any, number: int) -> Any:
            if number in (begin, begin + scale.steps):
                marks[number] = synchronized_time(scale.device)
            views = (view.to(memory_format=torch.channels_last) for view in batch)
            one, two = (self.head(self.backbone.features(view)[-1].mean((2, 3))) for view in views)
            return self.loss(one, two)

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)

    images = LightlyImages(scale.size, scale.pretext_batch * (begin + scale.steps + 1))
    loader = torch.utils.data.DataLoader(
        images,
        scale.pretext_batch,
        num_workers=workers,
        pin_memory=workers > 0,
        prefetch_factor=AHEAD if workers else None,
    )
    trainer = pytorch_lightning.Trainer(
        max_steps=begin + scale.steps + 1,
        accelerator="gpu" if scale.device.type == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed",
        benchmark=True,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Model(), loader)
    return scale.pretext_batch * scale.steps / (marks[begin + scale.steps] - marks[begin])
