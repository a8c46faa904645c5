"""Ensemble of trained networks: mean probabilities, and where the networks disagree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.downstream.segmentation import mean_scores
from trainables.downstream.temporal import sequence_scores
from trainables.engine.precision import Precision, autocast_dtype
from trainables.engine.runtime import set_gpu_flags, to_device
from trainables.networks.network import SegmentationNetwork
from trainables.networks.normalise import Normalise
from trainables.prediction.preprocessing import Preprocessing


@dataclass(frozen=True)
class Scores:
    """Result of an ensemble at the size of its input.

    Attributes:
        scores: logits `(N, K, S, S)` of a single network, or log-probabilities.
        disagreement: mutual information of class and network in bits, float32 `(N, S, S)`; None if not requested.
    """

    scores: Tensor
    disagreement: Tensor | None = None

    @property
    def probabilities(self) -> Tensor:
        """Probabilities `(N, K, S, S)`, float32."""
        return self.scores.float().softmax(1)

    def part(self, first: int, end: int) -> Scores:
        """Return the result of some of the images."""
        other = self.disagreement[first:end] if self.disagreement is not None else None
        return Scores(self.scores[first:end], other)


class Ensemble:
    """Networks of equal form that segment images by the mean of their probabilities, as a replicate's test does.

    Args:
        networks: trained networks, at least one; they are moved to the device.
        preprocessing: the networks' input.
        device: device to compute on.
        precision: precision of the forward pass.
        frames: frames of a sequence that the networks segment together; 1 for single images.
        batch: most images, or windows of frames, of one forward pass.
        flips: average over the images and their mirror images, left and right exchanged.
        disagreement: compute where the networks disagree, too.

    Raises:
        ValueError: a disagreement of one network is requested.
    """

    def __init__(
        self,
        networks: Sequence[SegmentationNetwork],
        preprocessing: Preprocessing,
        *,
        device: torch.device,
        precision: Precision = "auto",
        frames: int = 1,
        batch: int = 32,
        flips: bool = False,
        disagreement: bool = False,
    ) -> None:
        if disagreement and len(networks) < 2:
            raise ValueError("a disagreement of one network, expected at least two")
        set_gpu_flags()
        for network in networks:
            to_device(network, device).eval()
        self.networks = tuple(networks)
        self.normalise = Normalise(preprocessing.mean, preprocessing.std).to(device)
        self.device, self.frames, self.batch = device, frames, batch
        self.flips, self.disagreement = flips, disagreement
        self._dtype = autocast_dtype(precision, device)

    @property
    def temporal(self) -> bool:
        """True if the networks segment the frames of a sequence together."""
        return self.frames > 1

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Scores:
        """Segment images, uint8 `(N, C, S, S)`; of temporal networks, the N frames of one sequence in order."""
        enabled = self._dtype is not torch.float32
        images = images.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, dtype=self._dtype, enabled=enabled):
            members = [self._members(network, images) for network in self.networks]
        scores = mean_scores([each for views in members for each in views])
        return Scores(scores, disagreement(members) if self.disagreement else None)

    def _members(self, network: SegmentationNetwork, images: Tensor) -> list[Tensor]:
        """Return a network's scores of the images and, with flips, of their mirror images mirrored back."""
        found = [self._scores(network, images)]
        if self.flips:
            found.append(self._scores(network, images.flip(-1)).flip(-1))
        return found

    def _scores(self, network: SegmentationNetwork, images: Tensor) -> Tensor:
        if self.temporal:
            return sequence_scores(network, self.normalise, images, self.frames, self.batch)
        scores: Tensor = network(self.normalise(images.float() / 255))
        return scores


def disagreement(members: Sequence[Sequence[Tensor]]) -> Tensor:
    """Return the mutual information of class and network in bits, float32 `(N, S, S)`.

    It is the entropy of the mean probabilities less the mean entropy of each network's: 0 where all networks say the
    same, however unsure they are, and at most log2 of the number of networks or classes (Houlsby et al. 2011, Bayesian
    active learning for classification and preference learning).

    Args:
        members: scores `(N, K, S, S)` of each network and of each view of the images that it saw.
    """
    by_network = [torch.stack([view.float().softmax(1) for view in views]).mean(0) for views in members]
    mean = torch.stack(by_network).mean(0)
    own = torch.stack([_entropy(each) for each in by_network]).mean(0)
    return (_entropy(mean) - own).clamp_min(0)


def _entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy in bits over the second axis."""
    return -torch.xlogy(probabilities, probabilities).sum(1) / math.log(2)
