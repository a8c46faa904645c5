"""Loading of weight files into backbones, with a report of what fits."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.common.errors import CheckpointError
from trainables.common.seeds import derive
from trainables.networks.backbones import Backbone, BackboneSettings
from trainables.networks.weight_files.adapt import adapted
from trainables.networks.weight_files.names import SCHEMES
from trainables.networks.weight_files.read import WeightsFile, read_tensors

MIN_SHARE = 0.9
"""Least share of a backbone's numbers that a file must have; below it the file is that of another network."""

PREFIX_SHARE = 0.2
"""Least share of a file's numbers behind a prefix, such as "backbone.", that may be the encoder's."""

SECOND_CHOICE = ("momentum", "ema", "target", "teacher", "encoder_k", "key")
"""Parts of prefixes of copies, which are taken only if nothing else fits as well."""

COUNTER = "num_batches_tracked"
"""Buffer of batch norm that tells nothing about a fit."""


@dataclass(frozen=True)
class WeightReport:
    """Result of fitting a file to a backbone.

    Attributes:
        file: path of the file.
        format: naming scheme of the file.
        prefix: beginning of the names of the encoder's tensors in the file.
        share: share of the backbone's numbers that the file has, in [0, 1].
        loaded: names of the loaded tensors.
        adapted: those of them that were adapted to other channels or positions.
        missing: names of the backbone's tensors that the file lacks, or has in another shape.
        left_over: names of the file's tensors that the backbone has no place for, without the prefix.
    """

    file: str
    format: str
    prefix: str
    share: float
    loaded: tuple[str, ...]
    adapted: tuple[str, ...]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]

    def __str__(self) -> str:
        behind = f" behind '{self.prefix}'" if self.prefix else ""
        return (
            f"{self.file}: {len(self.loaded)} of {len(self.loaded) + len(self.missing)} tensors of the encoder loaded "
            f"({100 * self.share:.1f}% of its numbers) by {self.format} names{behind}; adapted: {_few(self.adapted)}; "
            f"missing: {_few(self.missing)}; left over in the file: {_few(self.left_over)}"
        )


def load_file(backbone: Backbone, weights: WeightsFile) -> WeightReport:
    """Load a file's weights into a backbone; tensors that the file lacks keep their values.

    Raises:
        CheckpointError: the file is missing or no file of tensors, or too little of the backbone is in it.
    """
    found, report = _fit(backbone, weights)
    backbone.load_state_dict(found, strict=False)
    return report


def check_file(backbone: BackboneSettings, channels: int, weights: WeightsFile) -> WeightReport:
    """Return the report of a file without loading it, from the shapes of the backbone.

    Raises:
        CheckpointError: the file is missing or no file of tensors, or too little of the backbone is in it.
    """
    try:
        with torch.device("meta"):
            built = backbone.build(channels)
    except (NotImplementedError, RuntimeError):  # computes with its weights as it is built
        built = backbone.build(channels)
    return _fit(built, weights)[1]


def initial_weights(
    backbone: BackboneSettings, channels: int, weights: WeightsFile, seed: int
) -> tuple[dict[str, Tensor], WeightReport]:
    """Return a backbone's weights from a file, keys as in a segmentation network, and the report.

    Args:
        backbone: settings of the backbone.
        channels: number of channels of the images.
        weights: file of the weights.
        seed: seed of the random weights that the file lacks.

    Raises:
        CheckpointError: the file is missing or no file of tensors, or too little of the backbone is in it.
    """
    torch.manual_seed(derive(seed, "init"))
    built = backbone.build(channels)
    report = load_file(built, weights)
    return {f"backbone.{name}": value for name, value in built.state_dict().items()}, report


def _fit(backbone: Backbone, weights: WeightsFile) -> tuple[dict[str, Tensor], WeightReport]:
    """Return the tensors to load by the backbone's names, and the report of the naming scheme that fits best."""
    tensors = read_tensors(weights.path)
    own = {backbone.published_name(name): name for name in backbone.state_dict()}
    expected = dict(zip(own, backbone.state_dict().values(), strict=True))
    fits = [
        _match(expected, translated, _unread(weights.file, scheme, prefix))
        for scheme, prefix, translated in _translations(backbone, tensors, expected, weights.format)
    ]
    if not fits:
        raise CheckpointError(f"{weights.file}: has no {weights.format} names. Fix: set format to auto")
    found, report = max(
        fits, key=lambda fit: (round(fit[1].share, 6), fit[1].format != "native")
    )  # the first of equals
    if report.share < MIN_SHARE:
        limit = f"expected at least {100 * MIN_SHARE:.0f}% of the numbers"
        raise CheckpointError(f"{report}. Too little fits the encoder, {limit}. Fix: name the file's own encoder")
    return {own[name]: value for name, value in found.items()}, report


def best_reading(
    expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], file: str
) -> tuple[dict[str, Tensor], WeightReport]:
    """Return the tensors of a file that fit expected ones by name behind some prefix, and the report.

    Args:
        expected: tensors of a network by name.
        tensors: tensors of the file by name.
        file: path of the file, for the report.
    """
    readings = (
        ({name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}, prefix)
        for prefix in _prefixes(tensors)
    )
    fits = [_match(expected, inner, _unread(file, "native", prefix)) for inner, prefix in readings]
    return max(fits, key=lambda fit: fit[1].share)


def _unread(file: str, scheme: str, prefix: str) -> WeightReport:
    """Return the report of a reading before its tensors are matched."""
    return WeightReport(file, scheme, prefix, 0.0, (), (), (), ())


def _translations(
    backbone: Backbone, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], wanted: str
) -> Iterator[tuple[str, str, Mapping[str, Tensor]]]:
    """Yield naming scheme, prefix and translated tensors of every reading of a file."""
    for prefix in _prefixes(tensors):
        inner = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        readings = [("native", inner)]
        for name, scheme in SCHEMES.items():
            translated = scheme.translate(inner, expected)
            readings += [(name, translated)] if translated is not None else []
        for name, reading in readings:
            if wanted in ("auto", name):
                yield name, prefix, reading
                converted = _converted_by_library(backbone, reading)
                if converted is not None:
                    yield name, prefix, converted


def _prefixes(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the beginnings of names that hold a large part of a file, shortest first, copies last."""
    sizes = {"": 0}
    for name, value in tensors.items():
        parts = name.split(".")
        for depth in range(min(len(parts), 4)):
            prefix = ".".join([*parts[:depth], ""]) if depth else ""
            sizes[prefix] = sizes.get(prefix, 0) + value.numel()
    large = [prefix for prefix, size in sizes.items() if size >= PREFIX_SHARE * sizes[""]]
    return sorted(large, key=lambda prefix: (any(part in prefix for part in SECOND_CHOICE), prefix.count(".")))


def _converted_by_library(backbone: Backbone, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor] | None:
    """Return the tensors as timm's own conversion for the model names and shapes them; None where it has none."""
    model = getattr(backbone, "model", None)
    convert = getattr(sys.modules.get(type(model).__module__), "checkpoint_filter_fn", None)
    if convert is None:
        return None
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            converted: Mapping[str, Tensor] = convert(dict(tensors), model)
    except Exception:  # made for the checkpoints of its authors
        return None
    return converted


def _match(
    expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], reading: WeightReport
) -> tuple[dict[str, Tensor], WeightReport]:
    """Return the tensors that fit by name, and the completed report of a reading."""
    first = next((name for name, value in expected.items() if value.ndim == 4 and name.endswith("weight")), None)
    found, changed = {}, []
    for name, value in expected.items():
        fitted = adapted(name, tensors[name], value, first=name == first) if name in tensors else None
        if fitted is not None:
            found[name] = fitted.to(value.dtype)
            changed += [name] if tensors[name].shape != value.shape else []
    counted = {name: value.numel() for name, value in expected.items() if not name.endswith(COUNTER)}
    share = sum(size for name, size in counted.items() if name in found) / max(1, sum(counted.values()))
    return found, WeightReport(
        reading.file,
        reading.format,
        reading.prefix,
        share,
        tuple(name for name in counted if name in found),
        tuple(changed),
        tuple(name for name in counted if name not in found),
        tuple(name for name in tensors if name not in expected and not name.endswith(COUNTER)),
    )


def _few(names: tuple[str, ...]) -> str:
    """Return the number of names and the first four of them."""
    if not names:
        return "none"
    return f"{len(names)} ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''})"
