from collections.abc import Callable

import numpy as np
import pytest

from trainables.phantom.anatomy.volume import Space


@pytest.fixture(scope="session")
def straight() -> Callable[..., Space]:
    """Makes an unbent space around the origin."""

    def make(shape=(40, 40, 40), step=1.0) -> Space:
        lines = [((np.arange(n) + 0.5 - n / 2) * step).astype(np.float32) for n in shape]
        return Space((step, step, step), *np.meshgrid(*lines, indexing="ij"))

    return make
