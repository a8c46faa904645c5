import numpy as np

from analysis.stats.bootstrap import expanded_tails, resampled_means


def test_expanded_tails_hold_the_mean_as_students_interval_does():
    random = np.random.default_rng(0)
    low, high = expanded_tails(10)
    held = 0
    for _ in range(800):
        sample = random.normal(size=10)
        means = sample[random.integers(0, 10, (1000, 10))].mean(axis=1)
        a, b = np.quantile(means, [low, high])
        held += a <= 0 <= b
    assert 0.92 < held / 800 < 0.98
    assert expanded_tails(1) == (0.0, 1.0)


def test_resampled_means_spread_as_the_analysis_of_variance_says() -> None:
    random = np.random.default_rng(1)
    values = 0.03 * random.normal(size=(30, 1)) + 0.05 * random.normal(size=(1, 60))
    means = resampled_means(values, "x", 20_000)
    expected = values.mean(axis=1).var() / 30 + values.mean(axis=0).var() / 60
    assert abs(means.var() / expected - 1) < 0.05
    assert (means == resampled_means(values[:, ::-1], "x", 20_000)).all()
