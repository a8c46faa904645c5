"""Skeleton of a plug-in with a pretext method of one's own, and of its test."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path

from trainables.common.errors import UserError
from trainables.common.files import write_text

METHOD = '''\
"""A pretext method of our own: the embeddings of two views of an image come near each other, and all spread out.

Use it in a study file:

    plugins: [./{name}.py]
    pretext: {{method: {{name: {name}, weight: 1.0}}}}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.augment.policy import Policy
from trainables.data.store.frames import FrameStore
from trainables.networks.backbones import Backbone
from trainables.pretext import METHODS
from trainables.pretext.method import BackboneMethod
from trainables.pretext.monitoring.signs import MATCHING, Sign
from trainables.pretext.parts.embedding_task import EmbeddingTask
from trainables.pretext.parts.projection import mlp


# Settings: a frozen dataclass. Its fields are the keys in a study file, can be searched, and make the digest of what is
# trained. Check them here: a ValueError becomes a message with file and line.
@dataclass(frozen=True)
class {cls}(BackboneMethod):
    """Alignment and uniformity of two views (Wang and Isola 2020, equations 1 and 2).

    Attributes:
        weight: weight of the uniformity, from 0 up.
        projection: width of the projection head, from 2 up.
    """

    compares_views: ClassVar[bool] = True  # the augmentation makes the task

    weight: float = 1.0
    projection: int = 128

    def __post_init__(self) -> None:
        if self.weight < 0 or self.projection < 2:
            raise ValueError(
                f"weight {{self.weight}}, projection {{self.projection}}: expected at least 0 and at least 2"
            )

    # The validation metric in which learning shows. `None` would leave the verdict on a pretraining unknown.
    @property
    def sign(self) -> Sign | None:
        """Views whose partner is the nearest of all."""
        return MATCHING

    # Called once for each run, after torch's generator was seeded. What is trained must be a parameter of the task;
    # other state, such as a queue or a moving average, a buffer: checkpoints hold parameters and buffers.
    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> {cls}Task:
        """Return the task that trains `backbone`."""
        projector = mlp(backbone.feature_channels, self.projection, self.projection, output_norm=False)
        return {cls}Task(backbone, projector, augment, store, self.weight)


class {cls}Task(EmbeddingTask):
    """Training of backbone and projection head.

    `EmbeddingTask` augments each image twice, encodes both views and measures the embeddings in evaluation. A task that
    does not compare two views derives from `trainables.engine.task.Task` and writes `training_step` and `evaluate`.
    """

    def __init__(
        self, backbone: Backbone, projector: nn.Module, augment: Policy, store: FrameStore, weight: float
    ) -> None:
        super().__init__(backbone, projector, augment, store)
        self.weight = weight

    def compare(self, one: Tensor, two: Tensor, rows: Tensor, *, local_only: bool = False) -> dict[str, Tensor]:
        """Return the `loss`, which is minimized, and further scalars to be logged."""
        # float32 inside of mixed precision. With several workers this is the loss of each worker's own images; for that
        # of the whole batch gather the embeddings first, unless `local_only` (trainables.pretext.parts.gather).
        with torch.autocast(one.device.type, enabled=False):
            a, b = (F.normalize(each.float(), dim=1) for each in (one, two))
            alignment = (a - b).square().sum(1).mean()
            uniformity = sum(torch.pdist(each).square().mul(-2).exp().mean().log() for each in (a, b)) / 2
        loss = alignment + self.weight * uniformity
        return {{"loss": loss, "alignment_term": alignment, "uniformity_term": uniformity}}


METHODS.add("{name}", {cls})
'''

TEST = '''\
"""{cls} does what every pretext method must do; run with: python -m pytest {test}"""

import importlib.util
import sys
from pathlib import Path

import pytest

from trainables.testing import METHOD_CHECKS

FILE = Path(__file__).with_name("{name}.py")
spec = importlib.util.spec_from_file_location("{name}", FILE)
module = importlib.util.module_from_spec(spec)
sys.modules["{name}"] = module
spec.loader.exec_module(module)


@pytest.mark.parametrize("check", METHOD_CHECKS, ids=lambda check: check.__name__)
def test_conforms(check):
    check(module.{cls}(projection=8))  # small settings make the checks quick


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="expected at least 0"):
        module.{cls}(weight=-1)
'''


def write_method(name: str, folder: Path) -> list[Path]:
    """Write a method's skeleton and its test, and return their paths.

    Args:
        name: name of the method in study files: lower-case letters, digits and _.
        folder: existing folder.

    Raises:
        UserError: the name cannot be used, a method of this name exists, or one of the files does.
    """
    from trainables.pretext import METHODS

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(f"name '{name}': expected lower-case letters, digits and _, with a letter first")
    if keyword.iskeyword(name) or importlib.util.find_spec(name) is not None:
        raise UserError(f"name '{name}': a module or word of Python, which a file of this name would hide. Fix: rename")
    if name in METHODS:
        raise UserError(f"name '{name}': a pretext method has it already. Fix: choose another one")
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    test = f"test_{name}.py"
    paths = [folder / f"{name}.py", folder / test]
    for path in paths:
        if path.exists():
            raise UserError(f"{path}: exists. Fix: choose another name, or another folder with --out")
    cls = "".join(part.capitalize() for part in name.split("_"))
    for path, text in zip(paths, (METHOD, TEST), strict=True):
        write_text(path, text.format(name=name, cls=cls, test=test))
    return paths
