"""Remarks on cells whose backbone is never trained."""

from __future__ import annotations

from study.config.definition import Study
from study.config.spec import RandomStart


def untrained_backbones(study: Study) -> list[str]:
    """Return a remark for each way of transfer that leaves a random backbone as it is, with the number of its cells."""
    specs = [study.resolve(cell.overrides) for cell in study.cells()]
    ways = [
        spec.downstream.transfer.train
        for spec in specs
        if isinstance(spec.pretext.method, RandomStart) and spec.downstream.transfer.keeps_backbone
    ]
    return [
        f"downstream.transfer.train is {way} in {ways.count(way)} cell{'s' * (ways.count(way) > 1)} whose backbone "
        "starts from random weights, which stay as they are"
        for way in dict.fromkeys(ways)
    ]
