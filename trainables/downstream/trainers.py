"""Registry of segmentation trainers, by the name that the network's settings state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trainables.common.registry import Registry
from trainables.downstream.build import PretrainedWeights
from trainables.downstream.segmentation_trainer import SegmentationTrainer
from trainables.downstream.settings import DownstreamSettings
from trainables.downstream.torch_trainer import TorchTrainer
from trainables.external.nnunet.trainer import NnUNetTrainer
from trainables.networks.network import NetworkSettings

TrainerFactory = Callable[[DownstreamSettings, NetworkSettings, PretrainedWeights, Path | None], SegmentationTrainer]
"""Constructs a trainer from the stage's settings, the network's settings, pretrained weights and a scratch folder."""

TRAINERS: Registry[TrainerFactory] = Registry("segmentation trainer", {"torch": TorchTrainer, "nnunet": NnUNetTrainer})
"""Segmentation trainers by `NetworkSettings.trainer`."""
