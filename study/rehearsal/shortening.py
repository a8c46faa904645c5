"""Settings of a rehearsal: those of the study, with shorter runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from study.config.spec import StudySpec
from study.planning.network_check import OWN_TRAINER

T = TypeVar("T")


def shortened_spec(spec: StudySpec) -> StudySpec:
    """Return a study's settings with shorter runs.

    A trainer other than this package's takes `downstream.fit.epochs` only: its network's settings shorten an epoch.
    """
    brief = shortened(spec)
    if spec.network.trainer == OWN_TRAINER:
        return brief
    fit = dataclasses.replace(spec.downstream.fit, epochs=brief.downstream.fit.epochs)
    return dataclasses.replace(brief, downstream=dataclasses.replace(brief.downstream, fit=fit))


def shortened(settings: T) -> T:
    """Return settings in which every part is replaced by what its method `shortened` returns.

    Parts without that method stay, whatever they are; so do the sizes of batches, images and networks.

    Args:
        settings: dataclass of settings; its parts may be settings, tuples and mappings.

    Example:
        >>> from trainables.downstream.settings import DownstreamSettings
        >>> brief = shortened(DownstreamSettings(folds=5))
        >>> brief.folds, brief.fit.epochs, brief.fit.steps_per_epoch, brief.fit.batch_size
        (2, 2, 1, 32)
    """
    brief: T = _shortened(settings)
    return brief


def _shortened(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _shortened(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_shortened(item) for item in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    parts = {part.name: getattr(value, part.name) for part in dataclasses.fields(value) if part.init}
    changed = {name: brief for name, part in parts.items() if (brief := _shortened(part)) != part}
    whole = dataclasses.replace(value, **changed) if changed else value
    shorten = getattr(whole, "shortened", None)
    return shorten() if shorten is not None else whole
