"""nnU-Net v2 (Isensee et al. 2021) as a segmentation network, run by its own code in a process of its own."""

from trainables.common.registry import Registry
from trainables.external.nnunet.settings import NnUNet
from trainables.networks.network import NetworkSettings

EXTERNAL: Registry[type[NetworkSettings]] = Registry("network", {"nnunet": NnUNet})
"""Networks that another package builds and trains, by name."""
