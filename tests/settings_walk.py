"""Walk over the settings of every registered component: each setting changed by itself, and what then differs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import torch
from toys import toy_store

from study.config.plain import plain
from trainables.augment.policy import Policy
from trainables.data.records import PHASES
from trainables.data.store.frames import FrameStore
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import UNet, UNetEncoder
from trainables.pretext.pretrain import PretextSettings, pretrain

Setting = tuple[str, str]
"""Name of a class of settings, and of one of its fields."""

CHANGES: dict[Setting, Any] = {
    ("Polynomial", "warmup_epochs"): 5.0,
    ("Plateau", "warmup_epochs"): 5.0,
    ("Cosine", "warmup_epochs"): 5.0,
    ("Constant", "warmup_epochs"): 5.0,
    ("Acdc", "slice_axis"): 0,
    ("Adam", "betas"): (0.8, 0.9),
    ("Adam", "eps"): 0.1,
    ("AdamW", "betas"): (0.8, 0.9),
    ("AdamW", "eps"): 0.1,
    ("Camus", "partition"): "saeed2022",
    ("CardiacDicom", "series"): ("1=",),
    ("Decathlon", "channels"): ("T2",),
    ("Decathlon", "slice_axis"): 0,
    ("DeepLabV3", "rates"): (1, 2),
    ("DownstreamSettings", "validation"): "none",
    ("DLIR", "grid_spacing"): 8,
    ("DLIR", "kernel_size"): 5,
    ("Lars", "weight_decay"): 0.1,
    ("LocalNCC", "window"): 5,
    ("Madgrad", "eps"): 0.1,
    ("Manifest", "channels"): "rgb",
    ("Manifest", "file"): "other.csv",
    ("Manifest", "ignore"): ("view",),
    ("Manifest", "slice_axis"): 0,
    ("MaskedModelling", "patch"): 4,
    ("Mnms", "slice_axis"): 0,
    ("Mnms2", "slice_axis"): 0,
    ("Plateau", "patience"): 1,
    ("Polynomial", "power"): 2.0,
    ("SGD", "momentum"): 0.5,
    ("Setr", "width"): 8,
    ("SmpEncoder", "encoder"): "resnet18",
    ("SmpEncoder", "output_stride"): 16,
    ("Timm", "image_size"): 64,
    ("Timm", "model"): "test_vit2",
    ("Timm", "output_stride"): 8,
    ("SimCLR", "hidden"): 6,
    ("UkBiobank", "slice_axis"): 0,
    ("UNet3D", "window"): 4,
    ("UNetEncoder", "depth"): 3,
}
"""Other values of settings for which the rule of `another` finds none."""


EQUAL_RESULTS: dict[Setting, str] = {
    ("FitSettings", "recompute"): "computes the same gradients again (tests/trainables/networks/test_recompute.py)",
    ("FitSettings", "compile"): "compiles on a GPU alone (tests/trainables/engine/test_compilation.py)",
    ("FitSettings", "overlap_evaluation"): "reports the same metrics later (tests/trainables/engine/test_trainer.py)",
    ("Propagation", "batch_size"): "registers the same pairs, so many at once",
}
"""Settings that change how a result is computed and not the result, and why; the digest has them all the same."""

SHORT = FitSettings(epochs=2, batch_size=6, optimizer=Adam(lr=0.01), precision="float32", steps_per_epoch=2)
PLAIN = Policy(crop=None, flip=None, jitter=None, blur=None)
VIEWS = Policy(blur=None)
NETWORK = UNet(UNetEncoder(width=2, depth=2))


def variants(settings: Any, changes: Mapping[str, Any] = {}) -> Iterator[tuple[str, Any]]:  # read only
    """Yield each field's name, and the settings with that field alone changed.

    Components within settings are not changed: they are walked by themselves.

    Args:
        settings: instance of a dataclass of settings.
        changes: other values by field, before those of `CHANGES`; `...` skips a field.
    """
    hints, name = get_type_hints(type(settings)), type(settings).__name__
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if not field.init or (dataclasses.is_dataclass(value) and field.name not in changes):
            continue
        if changes.get(field.name) is ...:
            continue
        setting = (name, field.name)
        if field.name in changes:
            changed = changes[field.name]
        else:
            changed = CHANGES[setting] if setting in CHANGES else another(hints[field.name], value)
        yield field.name, dataclasses.replace(settings, **{field.name: changed})


def another(hint: Any, value: Any) -> Any:
    """Return another value of a setting."""
    if isinstance(value, bool):
        return not value
    if get_origin(hint) is Literal:
        return next(choice for choice in get_args(hint) if choice != value)
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 if value else 0.3
    if isinstance(value, tuple) and value and isinstance(value[0], float):
        return tuple((one + 1) / 2 for one in value)
    raise AssertionError(f"no other value of {value!r} is known: add one to CHANGES")


def signature(value: Any) -> Any:
    """Return plain values that are equal for equal results, floats to five digits."""
    if isinstance(value, torch.nn.Module):
        return signature(value.state_dict())
    if isinstance(value, torch.Tensor | np.ndarray):
        array = np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
        flat = np.nan_to_num(array.astype(np.float64).ravel(), nan=-12345.0, posinf=1e9, neginf=-1e9)
        weights = np.cos(np.arange(flat.size))  # so that moving a value elsewhere is a change
        return (array.shape, f"{flat.sum():.4e}", f"{flat @ weights:.4e}", f"{np.abs(flat).max(initial=0):.4e}")
    if isinstance(value, float):
        return f"{value:.4e}"
    if isinstance(value, Mapping):
        return {key: signature(item) for key, item in value.items() if key != "images_per_second"}
    if isinstance(value, list | tuple):
        return [signature(item) for item in value]
    if dataclasses.is_dataclass(value):
        return {field.name: signature(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def check(settings: Any, behave: Callable[[Any], Any], changes: Mapping[str, Any] | None = None) -> set[str]:
    """Check that each setting changes digest and behaviour, and an exempt one the digest alone; return their names.

    Args:
        settings: instance of a dataclass of settings.
        behave: function from settings to plain values; text says why they are refused, which is no silence.
        changes: other values by field; `...` skips a field.
    """
    found = list(variants(settings, changes or {}))
    before, digest = behave(settings), plain(settings)
    assert behave(settings) == before, "the behaviour is not repeatable"
    for name, changed in found:
        assert plain(changed) != digest, f"{name} is not part of the digest"
        after = behave(changed)
        exempt = (type(settings).__name__, name) in EQUAL_RESULTS
        assert not exempt or after == before or isinstance(after, str), f"{name} is exempt, but changes the result"
        assert exempt or after != before, f"{name} is ignored"
    return {name for name, _ in found}


def pretrained(settings: PretextSettings, store: FrameStore) -> Any:
    """Return the signature of a chain of pretrainings."""
    weights = None
    for step in settings.chain:
        done = pretrain(step, NETWORK, store, LocalRuntime(), seed=0, start=weights)
        weights = done.weights
    return signature([done.weights, done.fitted.history, done.learning])


def walked_store() -> FrameStore:
    """Return six subjects of three views of four frames, whose planes cut each other at right angles.

    ED and ES have masks. The images are 16 pixels wide; a moving square is the structure.
    """
    size, frames, views = 16, 4, ("SA", "4CH", "2CH")
    flat = toy_store(6 * len(views) * frames, size=size)
    index = np.zeros(len(flat.index), flat.index.dtype)
    number = np.arange(len(index))
    index["sequence"] = number // frames
    index["subject"] = number // (frames * len(views))
    index["view"] = index["sequence"] % len(views)
    index["frame"] = number % frames
    index["phase"] = [{0: PHASES.index("ED"), frames - 1: PHASES.index("ES")}.get(n % frames, 0) for n in number]
    index["mask"] = np.where(index["phase"] > 0, number, -1)
    index["split"] = np.array([0, 0, 0, 1, 2, 2])[index["subject"]]
    index["spacing"] = 2.0
    half = size  # mm from a border to the middle
    down, left, head = np.array([0.0, 2, 0]), np.array([2.0, 0, 0]), np.array([0.0, 0, 2])
    planes = {0: (down, left), 1: (head, left), 2: (head, down)}
    for view, (rows, columns) in planes.items():
        middle = np.zeros(3) - half * (rows + columns) / 2
        index["plane"][index["view"] == view] = np.stack([middle, rows, columns])
    images, masks = np.array(flat.images), np.zeros_like(flat.masks)
    for row in number:
        at = 3 + row % frames
        images[row, :, at : at + 6, 4:11] = 250
        masks[row, at : at + 6, 4:11] = 1
    names = tuple(map(str, range(6)))
    return dataclasses.replace(flat, index=index, images=images, masks=masks, views=views, subjects=names)
