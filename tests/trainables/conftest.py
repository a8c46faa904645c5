from pathlib import Path

import pytest

from trainables.phantom import PhantomSettings, write_echonet


@pytest.fixture(scope="session")
def small_phantom() -> PhantomSettings:
    return PhantomSettings(subjects=8, frames=16, seed=3, fractions=(0.5, 0.25, 0.25))


@pytest.fixture(scope="session")
def echonet_root(tmp_path_factory, small_phantom) -> Path:
    root = tmp_path_factory.mktemp("echonet")
    write_echonet(root, small_phantom)
    return root
