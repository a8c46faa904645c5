"""Bootstrap over replicates and subjects, for quantities that are no means."""

from __future__ import annotations

import numpy as np
from scipy import stats

from analysis.stats.two_way import Scores
from trainables.common.seeds import numpy_generator


def resampled_means(values: Scores, name: str, resamples: int) -> Scores:
    """Return bootstrap means over resampled replicates and subjects, independent of the order of the subjects.

    Each resample draws S subjects with replacement, shared by all replicates, and R replicates with replacement (Owen,
    "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007).

    Args:
        values: scores `(..., R, S)`; the leading axes share the resamples.
        name: name of the random stream.
        resamples: number of resamples, B.

    Returns:
        Means `(B, ...)`.
    """
    generator = numpy_generator(0, "bootstrap", name)
    replicates, subjects = values.shape[-2:]
    # Subjects are ordered by keyed hash, and each workspace has another key: sort by score instead.
    values = values[..., np.lexsort(values.reshape(-1, subjects))]
    replicate_counts = generator.multinomial(replicates, np.full(replicates, 1 / replicates), size=resamples)
    subject_counts = generator.multinomial(subjects, np.full(subjects, 1 / subjects), size=resamples)
    sums = np.einsum("br,...rs,bs->b...", replicate_counts, values, subject_counts, optimize=True)
    means: Scores = sums / (replicates * subjects)
    return means


def expanded_tails(size: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the bootstrap quantiles of an interval, expanded for small samples (Hesterberg, 2015).

    Resampling underestimates the spread by the square root of (n - 1) / n and has normal tails instead of Student's.

    Args:
        size: sample size, n.
        confidence: confidence level in (0, 1).
    """
    if size < 2:
        return 0.0, 1.0
    quantile = np.sqrt(size / (size - 1)) * stats.t.ppf((1 + confidence) / 2, size - 1)
    tail = float(stats.norm.cdf(-quantile))
    return tail, 1 - tail
