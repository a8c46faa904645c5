"""Linear probe: segmentation by ridge regression on a frozen backbone's features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.common.errors import DataError
from trainables.common.seeds import derive, numpy_generator, torch_generator
from trainables.data.records import Split
from trainables.data.sampling.batches import Batches
from trainables.data.store.frames import FrameStore
from trainables.metrics.overlap import counts, dice_from_counts
from trainables.networks.backbones import Backbone
from trainables.networks.normalise import Normalise


@dataclass(frozen=True)
class Probe:
    """Settings of the linear probe, fitted on a few labelled training frames and scored on validation.

    A pixel's features are those of all levels of the backbone, interpolated bilinearly. Each evaluation costs a forward
    pass over the labelled validation frames. The test split is never used.

    Attributes:
        frames: labelled training frames to fit on, from 1 up; all of them where fewer exist.
        pixels: pixels sampled in each of these frames, from 1 up.
        ridge: weight of the squared coefficients of standardized features in the objective, above 0.
    """

    frames: int = 20
    pixels: int = 256
    ridge: float = 0.01

    def __post_init__(self) -> None:
        if self.frames < 1 or self.pixels < 1:
            raise ValueError(f"frames {self.frames}, pixels {self.pixels}: expected at least 1")
        if not self.ridge > 0:
            raise ValueError(f"ridge is {self.ridge}, expected a number above 0")


class LinearProbe:
    """Probe of one backbone during its pretraining, on fixed frames and pixels.

    Args:
        settings: settings of the probe.
        backbone: backbone under training; in evaluation mode when the probe is called.
        store: frame store of the dataset.
        size: batch size of the forward passes.
        device: device of the backbone.
        seed: seed of the sampled frames and pixels.

    Raises:
        DataError: the training or validation split has no labelled frames.
    """

    def __init__(
        self, settings: Probe, backbone: Backbone, store: FrameStore, size: int, device: torch.device, seed: int
    ) -> None:
        self.settings, self.backbone, self.store, self.device = settings, backbone, store, device
        self.seed, self.classes = derive(seed, "probe"), len(store.classes)
        self.normalise = Normalise(store.mean, store.std).to(device)
        rows = numpy_generator(self.seed, "frames").permutation(_labelled(store, "train"))[: settings.frames]
        self.fit_batches = Batches(store, np.sort(rows), size, masks=True, shuffle=False)
        self.eval_batches = Batches(store, _labelled(store, "val"), size, masks=True, shuffle=False)

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        """Return `probe_dice`, the mean over subjects and classes, and `probe_dice/<class>`, pooled by subject."""
        weights, offset = self._fit()
        subjects = torch.from_numpy(self.store.index["subject"].astype(np.int64))
        overlap, sizes = torch.zeros(2, int(subjects.max()) + 1, self.classes - 1, dtype=torch.float64)
        evaluated = torch.zeros(len(overlap), dtype=torch.bool)
        for features, masks, rows in self._features(self.eval_batches):
            predicted = segment(features, weights, offset, self.store.image_size).argmax(1)
            of = subjects[rows.cpu()]
            evaluated[of] = True
            for total, found in zip((overlap, sizes), counts(predicted, masks, self.classes), strict=True):
                total.index_add_(0, of, found.cpu())
        scores = dice_from_counts(overlap[evaluated], sizes[evaluated])
        named = zip(self.store.classes[1:], scores.mean(0).tolist(), strict=True)
        return {"probe_dice": float(scores.mean()), **{f"probe_dice/{name}": score for name, score in named}}

    def _fit(self) -> tuple[Tensor, Tensor]:
        sampled, found = zip(*self._pixels(), strict=True)
        classes = torch.cat(found).long()
        targets, weights = F.one_hot(classes, self.classes), pixel_weights(classes, self.classes)
        return ridge_regression(torch.cat(sampled), targets, weights, self.settings.ridge)

    def _features(self, batches: Batches) -> Iterator[tuple[list[Tensor], Tensor, Tensor]]:
        """Yield the backbone's feature maps, masks and rows of each batch."""
        for batch in batches.epoch(device=self.device):
            assert batch.masks is not None
            features = self.backbone.features(self.normalise(batch.images.float() / 255))
            yield [level.float() for level in features], batch.masks, batch.rows

    def _pixels(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield features `(n, D)` and classes `(n,)` of the pixels to fit on."""
        side = self.store.image_size
        for features, masks, rows in self._features(self.fit_batches):
            places = torch.stack([self._drawn(int(row)) for row in rows]).to(self.device)
            yield features_at(features, places, side), masks.flatten(1).gather(1, places).flatten()

    def _drawn(self, row: int) -> Tensor:
        """Return sampled pixels of a frame as indices into the flat image."""
        generator = torch_generator(self.seed, "pixels", row)
        return torch.randint(self.store.image_size**2, (self.settings.pixels,), generator=generator)


def features_at(features: list[Tensor], places: Tensor, side: int) -> Tensor:
    """Interpolate feature maps at pixels.

    Args:
        features: maps `(B, C_i, h_i, w_i)`.
        places: pixels `(B, P)` as indices into the flat image.
        side: side of the image in pixels.

    Returns:
        Features `(B P, sum of C_i)`.
    """
    centres = torch.stack([places % side, places // side], 2).float()
    grid = ((2 * centres + 1) / side - 1).unsqueeze(1)
    with torch.autocast(places.device.type, enabled=False):
        read = [F.grid_sample(level, grid, padding_mode="border", align_corners=False) for level in features]
    return torch.cat(read, 1).squeeze(2).transpose(1, 2).flatten(0, 1)


def pixel_weights(classes: Tensor, number: int) -> Tensor:
    """Return pixel weights, float64 with sum 1: a class weighs the square root of its fraction of pixels.

    With its fraction itself a small structure would rarely be predicted, with equal weights too often.
    """
    found = torch.bincount(classes.long(), minlength=number).double()
    weights = found.clamp_min(1).rsqrt()[classes.long()]
    return weights / weights.sum()


def ridge_regression(inputs: Tensor, targets: Tensor, weights: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Return the linear map W, o that minimizes sum_i w_i |x_i W + o - t_i|^2 + ridge |s W|^2.

    The inputs' standard deviations s standardize the penalty.

    Args:
        inputs: x, `(n, D)`.
        targets: t, `(n, K)`.
        weights: w, `(n,)`, with sum 1.
        ridge: above 0.

    Returns:
        W, float64 `(D, K)`, and o `(K,)`. An input that never changes gets no weight.
    """
    x, t, w = inputs.double(), targets.double(), weights.double()
    centre, middle = w @ x, w @ t
    deviation = (w @ (x - centre).square()).sqrt()
    scale = torch.where(deviation > 1e-6 * deviation.max(), 1 / deviation.clamp_min(1e-300), 0.0)
    root = w.sqrt()[:, None]
    x, t = root * (x - centre) * scale, root * (t - middle)
    count, width = x.shape
    penalty = ridge * torch.eye(min(count, width), device=x.device, dtype=x.dtype)
    solved = (
        torch.linalg.solve(x.T @ x + penalty, x.T @ t)
        if width <= count
        else x.T @ torch.linalg.solve(x @ x.T + penalty, t)
    )
    found = solved * scale[:, None]
    return found, middle - centre @ found


def segment(features: list[Tensor], weights: Tensor, offset: Tensor, side: int) -> Tensor:
    """Return scores `(B, K, side, side)` from feature maps; mapping before interpolation is equivalent and cheaper."""
    scores = offset.float().view(1, -1, 1, 1)
    with torch.autocast(offset.device.type, enabled=False):
        for level, part in zip(features, weights.float().split([level.shape[1] for level in features]), strict=True):
            mapped = F.conv2d(level, part.T[:, :, None, None])
            scores = scores + F.interpolate(mapped, (side, side), mode="bilinear", align_corners=False)
    return scores


def _labelled(store: FrameStore, split: Split) -> np.ndarray:
    rows = store.rows(split, labelled=True)
    if len(rows) == 0:
        raise DataError(f"pretext.probe needs labelled frames, the dataset has none in its {split} split")
    return rows
