"""SimCLR in lightly with Lightning, for the comparison of the GPU benchmark."""

from __future__ import annotations

import os
from typing import Any

import torch

from benchmarks.gpu_sizes import BenchmarkSizes, synchronized_time
from trainables.data.store.synthetic_store import synthetic_store
from trainables.networks.torchvision_ops import torchvision


class LightlyImages(torch.utils.data.Dataset[Any]):
    """Dataset that applies lightly's SimCLR transform to PIL images in memory."""

    def __init__(self, size: int, count: int) -> None:
        from lightly.transforms import SimCLRTransform

        self._transform, self._count = SimCLRTransform(input_size=size), count
        self._images = synthetic_store(64, size, 1).images[:, 0]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        from PIL import Image

        return self._transform(Image.fromarray(self._images[index % 64]).convert("RGB"))


def by_lightly(scale: BenchmarkSizes) -> float:
    """Return the images per second of SimCLR in lightly with Lightning, with data loading on all cores."""
    torchvision()
    import pytorch_lightning
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead

    marks: list[float] = []

    class Model(pytorch_lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = scale.backbone.build(3)
            width = self.backbone.channels[-1]
            self.head, self.loss = SimCLRProjectionHead(width, width, 128), NTXentLoss(0.5)

        def training_step(self, batch: Any, number: int) -> Any:
            marks.append(synchronized_time(scale.device) if number in (5, 5 + scale.steps) else 0.0)
            one, two = (self.head(self.backbone.features(view)[-1].mean((2, 3))) for view in batch)
            return self.loss(one, two)

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    images = LightlyImages(scale.size, scale.pretext_batch * (scale.steps + 6))
    workers = os.cpu_count() or 1 if scale.device.type == "cuda" else 0
    loader = torch.utils.data.DataLoader(images, scale.pretext_batch, num_workers=workers, pin_memory=workers > 0)
    trainer = pytorch_lightning.Trainer(
        max_steps=scale.steps + 6,
        accelerator="gpu" if scale.device.type == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Model(), loader)
    begun, ended = (mark for mark in marks if mark)
    return scale.pretext_batch * scale.steps / (ended - begun)
