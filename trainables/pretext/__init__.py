"""Pretext methods, by name: each is one file with one class, and one line here."""

from trainables.pretext.byol import BYOL
from trainables.pretext.denoise import Denoise
from trainables.pretext.method import Method
from trainables.pretext.simclr import SimCLR
from trainables.registry import Registry

METHODS: Registry[type[Method]] = Registry("pretext method", {"simclr": SimCLR, "byol": BYOL, "denoise": Denoise})
