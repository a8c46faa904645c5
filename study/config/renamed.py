"""Study-file keys and names that were renamed, so that a file with an old one gets an error that says the new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from study.config.spec import Design, Resources
from trainables.data.layouts.acdc import Acdc
from trainables.data.layouts.mnms import Mnms, Mnms2
from trainables.data.layouts.ukbb import UkBiobank
from trainables.data.sampling.targets import Targets
from trainables.data.settings import DataSettings
from trainables.networks.network import NetworkSettings
from trainables.pretext.denoise import Denoise
from trainables.pretext.masked import MaskedModelling
from trainables.pretext.pretrain import PretextSettings

RENAMED_KEYS: Mapping[type, Mapping[str, str]] = {
    DataSettings: {"unreadable": "on_error"},
    Acdc: {"every": "frame_step"},
    Mnms: {"every": "frame_step"},
    Mnms2: {"every": "frame_step"},
    UkBiobank: {"every": "frame_step"},
    PretextSettings: {"first": "init_from"},
    Denoise: {"share": "noise_ratio"},
    MaskedModelling: {"share": "mask_ratio"},
    Design: {"over": "factors"},
    Resources: {"most": "max"},
}
"""Current key by former key, for each class of settings that the study file describes."""

RENAMED_NAMES: Mapping[Any, Mapping[str, str]] = {
    NetworkSettings: {"unet_time": "unet3d"},
    Targets: {"ends": "ed_es"},
}
"""Current name by former name, for each component base and each `Literal` type."""


def renamed_key(cls: type, key: str) -> str | None:
    """Return the message for a renamed key of a settings class, or None for any other key."""
    return _message(key, RENAMED_KEYS.get(cls, {}))


def renamed_name(kind: Any, name: str) -> str | None:
    """Return the message for a renamed component or choice, or None for any other name.

    Args:
        kind: component base or `Literal` type that the setting is annotated with.
        name: value found in the study file.
    """
    return _message(name, RENAMED_NAMES.get(kind, {}))


def _message(old: str, renamed: Mapping[str, str]) -> str | None:
    return f"was renamed (found {old}). Fix: use {renamed[old]}" if old in renamed else None
