"""Transfer: which pretrained weights are loaded and which are fine-tuned."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import nn

from trainables.common.added import ADDED
from trainables.networks.lora import LoRA, adapters
from trainables.networks.network import SegmentationNetwork
from trainables.pretext.method import Method, NetworkMethod


@dataclass(frozen=True)
class Transfer:
    """Selection of loaded and fine-tuned weights (Bai et al. 2019, section 2.3).

    Attributes:
        train: "all" trains every weight; "decoder" leaves the backbone as it was loaded, its batch-norm statistics too;
            "lora" leaves it as well, but for low-rank adapters of its layers; "multitask" trains every weight and goes
            on with a pretext task beside it.
        load: "backbone" takes over the backbone alone; "network" the decoder as well, which the pretext must have
            trained.
        backbone_rate: learning rate of the backbone relative to that of the other parts, above 0.
        layer_decay: learning rate of each of the backbone's stages relative to the next deeper one, in (0, 1]; of the
            deepest relative to `backbone_rate`.
        method: the pretext task of "multitask", one that trains the whole network.
        beta: steps of segmentation for one of that task, from 1 up; 10 in the paper.
        freeze_epochs: number of initial epochs with a frozen backbone, from 0 up.
        lora: adapters of "lora"; None for their defaults.
    """

    train: Literal["all", "decoder", "lora", "multitask"] = "all"
    load: Literal["backbone", "network"] = "backbone"
    backbone_rate: float = 1.0
    layer_decay: float = 1.0
    method: Method | None = None
    beta: int = 10
    freeze_epochs: int = 0
    lora: LoRA | None = field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        if not self.backbone_rate > 0:
            raise ValueError(f"backbone_rate is {self.backbone_rate}, expected a number above 0")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay is {self.layer_decay}, expected a number in (0, 1]")
        if (self.train == "multitask") != (self.method is not None):
            raise ValueError("method: expected one where train is 'multitask', and only there")
        if self.method is not None and not isinstance(self.method, NetworkMethod):
            raise ValueError(f"method {type(self.method).__name__}: expected one that trains the whole network")
        if self.lora is not None and self.train != "lora":
            raise ValueError(f"lora: expected only where train is 'lora' (found '{self.train}')")
        if self.beta < 1:
            raise ValueError(f"beta is {self.beta}, expected a whole number from 1 up")
        if self.freeze_epochs < 0:
            raise ValueError(f"freeze_epochs is {self.freeze_epochs}, expected a whole number from 0 up")

    def shortened(self) -> Transfer:
        """Return the settings of a rehearsal: a frozen backbone in at most the first of its two epochs."""
        return replace(self, freeze_epochs=min(self.freeze_epochs, 1))

    @property
    def keeps_backbone(self) -> bool:
        """True if the weights that were loaded into the backbone are never trained."""
        return self.train in ("decoder", "lora")

    def frozen(self, epoch: int) -> bool:
        """Return True if the backbone is frozen in an epoch, counted from 0."""
        return self.train == "decoder" or epoch < self.freeze_epochs


def parameter_groups(network: SegmentationNetwork, transfer: Transfer) -> list[dict[str, Any]]:
    """Optimizer groups: the backbone's stages from shallow to deep, then the rest, with their share of the rate."""
    rest = [p for part in (network.decoder, network.head) for p in part.parameters()]
    if transfer.train == "decoder":
        return [{"params": rest}]
    trained = {id(p) for p in trainable(network.backbone)}
    if transfer.layer_decay == 1.0 and transfer.backbone_rate == 1.0:
        return [{"params": [*trainable(network.backbone), *rest]}]
    stages = [[p for p in stage.parameters() if id(p) in trained] for stage in network.backbone.stages()]
    scales = [transfer.backbone_rate * transfer.layer_decay ** (len(stages) - depth) for depth in range(len(stages))]
    groups = [{"params": stage, "lr_scale": scale} for stage, scale in zip(stages, scales, strict=True)]
    return [*groups, {"params": rest}]


def trainable(backbone: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a backbone that fine-tuning may train: its adapters if it has some, else all."""
    return adapters(backbone) or list(backbone.parameters())


def freeze(backbone: nn.Module, frozen: bool) -> None:
    """Stop or resume the training of a backbone's weights, or of its adapters alone if it has some."""
    for parameter in trainable(backbone):
        parameter.requires_grad_(not frozen)
