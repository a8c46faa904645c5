import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from analysis.stats.embedding import principal_plane


def test_the_plane_is_that_of_principal_components_of_standardised_features():
    random = np.random.default_rng(0)
    points = random.normal(size=(40, 3)) @ random.normal(size=(3, 7))
    found, shares = principal_plane(points)
    other = PCA(2).fit(StandardScaler().fit_transform(points))
    expected = other.transform(StandardScaler().fit_transform(points))
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)
    np.testing.assert_allclose(shares, other.explained_variance_ratio_)


def test_features_that_do_not_vary_are_no_harm():
    found, _ = principal_plane(np.column_stack([np.arange(5.0), np.full(5, 3.0)]))
    assert np.isfinite(found).all()
    assert found[0, 0] == pytest.approx(-found[4, 0])
