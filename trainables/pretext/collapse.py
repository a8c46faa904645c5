"""Signs of collapse in a batch of embeddings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


@torch.no_grad()
def indicators(embeddings: Tensor, partners: Tensor | None = None) -> dict[str, Tensor]:
    """How the embeddings `(B, D)`, of at least two images, spread.

    Returns:
        `embedding_std`: mean over dimensions of the standard deviation of the normalised embeddings, times sqrt(D); 1
        when they fill the sphere evenly, 0 when all are one point.
        `effective_rank`: exp of the entropy of the normalised singular values of the centred embeddings (Roy and
        Vetterli 2007), from 1 to min(B, D).
        With `partners`, the embeddings of the other view (Wang and Isola 2020): `alignment`, the mean squared distance
        of the two, and `uniformity`, log mean exp(-2 d^2) over pairs of different images.
    """
    z = F.normalize(embeddings.float(), dim=1)
    singular = torch.linalg.svdvals(z - z.mean(0))
    share = singular / singular.sum().clamp_min(1e-12)
    entropy = -(share * share.clamp_min(1e-12).log()).sum()
    found = {
        "embedding_std": z.std(0).mean() * z.shape[1] ** 0.5,
        "effective_rank": entropy.exp(),
    }
    if partners is not None and len(z) > 1:
        other = F.normalize(partners.float(), dim=1)
        found["alignment"] = (z - other).square().sum(1).mean()
        found["uniformity"] = torch.pdist(z).square().mul(-2).exp().mean().log()
    return found
