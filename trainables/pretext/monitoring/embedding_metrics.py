"""Metrics of a batch of embeddings: spread, rank, alignment and uniformity."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


@torch.no_grad()
def embedding_metrics(embeddings: Tensor, partners: Tensor | None = None) -> dict[str, Tensor]:
    """Return metrics of the spread of embeddings.

    Args:
        embeddings: embeddings `(B, D)` of one view.
        partners: embeddings `(B, D)` of the other view; None omits alignment and uniformity.

    Returns:
        `embedding_std`: mean over dimensions of the standard deviation of the L2-normalized embeddings, times sqrt(D);
        1 when they cover the sphere uniformly, 0 when they are one point.
        `effective_rank`: exp of the entropy of the normalized singular values of the centred embeddings (Roy and
        Vetterli 2007), from 1 to min(B, D).
        `alignment` and `uniformity` (Wang and Isola 2020): mean squared distance of the two views, and log of the mean
        of exp(-2 d^2) over pairs of different images.
        Empty for a single image; NaN where an embedding is not finite.
    """
    if len(embeddings) < 2:
        return {}
    z = F.normalize(embeddings.float(), dim=1)
    centred = z - z.mean(0)
    singular = torch.linalg.svdvals(centred) if centred.isfinite().all() else centred.new_full((1,), torch.nan)
    share = singular / singular.sum().clamp_min(1e-12)
    entropy = -(share * share.clamp_min(1e-12).log()).sum()
    found = {
        "embedding_std": z.std(0).mean() * z.shape[1] ** 0.5,
        "effective_rank": entropy.exp(),
    }
    if partners is not None:
        other = F.normalize(partners.float(), dim=1)
        found["alignment"] = (z - other).square().sum(1).mean()
        found["uniformity"] = torch.pdist(z).square().mul(-2).exp().mean().log()
    return found
