"""Metrics of a batch of embeddings: spread, rank, alignment, uniformity and matching of the two views."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


@torch.no_grad()
def embedding_metrics(
    embeddings: Tensor, partners: Tensor | None = None, subjects: Tensor | None = None
) -> dict[str, Tensor]:
    """Return metrics of the spread of embeddings.

    Args:
        embeddings: embeddings `(B, D)` of one view.
        partners: embeddings `(B, D)` of the other view; None omits the metrics that compare views.
        subjects: subject of each image, int64 `(B,)`; None if all differ.

    Returns:
        `embedding_std`: mean over dimensions of the standard deviation of the L2-normalized embeddings, times sqrt(D);
        1 when they cover the sphere uniformly, 0 when they are one point.
        `effective_rank`: exp of the entropy of the normalized singular values of the centred embeddings (Roy and
        Vetterli 2007), from 1 to min(B, D).
        `alignment` and `uniformity` (Wang and Isola 2020): mean squared distance of the two views, and log of the mean
        of exp(-2 d^2) over pairs of different images.
        `unrelated_distance`: mean squared distance of views of different subjects; what `alignment` is by chance.
        `partner_nearer`: probability that the partner of a view is nearer than a view of another subject; 0.5 by
        chance.
        `matching_accuracy` and `matching_chance`: fraction of views whose partner is more similar to them than every
        view of another subject in the batch, and its expected value for unrelated embeddings: the mean of 1 / (1 +
        number of views of other subjects). Images of one subject are not told apart: frames of a video hardly differ.
        Empty for a single image; NaN where an embedding is not finite.
    """
    if len(embeddings) < 2:
        return {}
    z = F.normalize(embeddings.float(), dim=1)
    centred = z - z.mean(0)
    found = {"embedding_std": z.std(0).mean() * z.shape[1] ** 0.5, "effective_rank": effective_rank(centred)}
    if partners is not None:
        other = F.normalize(partners.float(), dim=1)
        found["alignment"] = (z - other).square().sum(1).mean()
        found["uniformity"] = torch.pdist(z).square().mul(-2).exp().mean().log()
        own = torch.arange(len(z), device=z.device) if subjects is None else subjects.to(z.device)
        found |= _compare_subjects(z, other, own)
    return found


def effective_rank(centred: Tensor) -> Tensor:
    """Return exp of the entropy of a matrix's normalized singular values; NaN if it is not finite.

    The singular values are the roots of the eigenvalues of the smaller product of the matrix with itself, in double
    precision: a small symmetric problem, which GPUs solve faster than a singular value decomposition.
    """
    finite = centred.isfinite().all()
    wide = centred.double().nan_to_num(0.0, 0.0, 0.0)
    product = wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide
    singular = torch.linalg.eigvalsh(product).clamp_min(0).sqrt()
    share = singular / singular.sum().clamp_min(1e-12)
    rank = (-(share * share.clamp_min(1e-12).log()).sum()).exp().to(centred.dtype)
    return torch.where(finite, rank, torch.nan)


def _compare_subjects(one: Tensor, two: Tensor, subjects: Tensor) -> dict[str, Tensor]:
    """Return the metrics that compare L2-normalized views with those of other subjects; NaN without any."""
    views, subject = torch.cat([one, two]), subjects.repeat(2)
    others = subject[:, None] != subject[None]
    similarity = views @ views.T
    partner = torch.arange(len(views), device=views.device).roll(len(one))
    own = similarity.gather(1, partner[:, None])
    nearer = ((own > similarity) & others).sum(1) / others.sum(1)
    matched = own[:, 0] > similarity.masked_fill(~others, -3.0).amax(1)
    across = others[: len(one), len(one) :]
    unrelated = 2 - 2 * (similarity[: len(one), len(one) :] * across).sum() / across.sum()
    found = {
        "unrelated_distance": unrelated,
        "partner_nearer": nearer.mean(),
        "matching_accuracy": matched.float().mean(),
        "matching_chance": (1 / (1 + others.sum(1).float())).mean(),
    }
    finite = views.isfinite().all()
    return {name: torch.where(finite, value, torch.nan) for name, value in found.items()}
