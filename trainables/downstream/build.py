"""Downstream network: built, then initialized with pretrained weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from trainables.common.errors import UserError
from trainables.common.seeds import derive
from trainables.data.store.frames import FrameStore
from trainables.downstream.transfer import Transfer
from trainables.networks.imagenet import ImageNetWeights, load_imagenet
from trainables.networks.lora import LoRA, add_adapters
from trainables.networks.network import NetworkSettings, SegmentationNetwork
from trainables.networks.weight_files.load import load_file
from trainables.networks.weight_files.read import WeightsFile
from trainables.networks.weights import load_weights, part_of

PretrainedWeights = Mapping[str, Tensor] | ImageNetWeights | WeightsFile | None
"""Pretrained weights (keys "backbone...." and perhaps "decoder...."), ImageNet's, a file's, or None for random ones."""


def build_network(
    transfer: Transfer, network: NetworkSettings, start: PretrainedWeights, store: FrameStore, seed: int
) -> SegmentationNetwork:
    """Build a segmentation network, load pretrained weights into it, and add adapters if they shall be trained.

    Args:
        transfer: selection of the weights that are loaded and trained.
        network: settings of the network to build.
        start: pretrained weights; None keeps the random initialization.
        store: frame store that determines the numbers of channels and classes.
        seed: seed of the random initialization.

    Raises:
        UserError: the decoder shall be loaded, but `start` has a backbone only.
    """
    torch.manual_seed(derive(seed, "init"))
    built = network.build(store.channels, len(store.classes))
    if isinstance(start, ImageNetWeights):
        load_imagenet(built.backbone, start)
    elif isinstance(start, WeightsFile):
        load_file(built.backbone, start)
    elif start is not None:
        wanted = dict(start)
        if transfer.load == "backbone":
            wanted = {key: value for key, value in wanted.items() if key.startswith("backbone.")}
        elif not part_of(start, "decoder"):
            text = "downstream.transfer.load is 'network', but the pretext trained a backbone only"
            raise UserError(f"{text}; choose a pretext method that trains the whole network, or load: backbone")
        load_weights(built, network.adapt_weights(wanted), partly=True)
    if transfer.train == "lora":
        add_adapters(built.backbone, transfer.lora or LoRA())
    return built
