"""Backbones and segmentation networks, by name."""

from trainables.common.registry import Registry
from trainables.networks.backbones import BackboneSettings
from trainables.networks.deeplabv3 import DeepLabV3
from trainables.networks.light_decoders import Linear, Setr
from trainables.networks.network import NetworkSettings
from trainables.networks.resnet import ResNet18, ResNet50, TinyResNet
from trainables.networks.smp_networks import Smp, SmpEncoder
from trainables.networks.timm_backbone import Timm
from trainables.networks.unet import UNet, UNetEncoder
from trainables.networks.unet3d import UNet3D

BACKBONES: Registry[type[BackboneSettings]] = Registry(
    "backbone",
    {
        "resnet50": ResNet50,
        "resnet18": ResNet18,
        "resnet_tiny": TinyResNet,
        "unet_encoder": UNetEncoder,
        "timm": Timm,
        "smp": SmpEncoder,
    },
)
NETWORKS: Registry[type[NetworkSettings]] = Registry(
    "network", {"deeplabv3": DeepLabV3, "unet": UNet, "unet3d": UNet3D, "linear": Linear, "setr": Setr, "smp": Smp}
)
