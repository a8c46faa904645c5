import os
from pathlib import Path

import pytest

from trainables.phantom import PhantomSettings, write_camus

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def camus_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("camus")
    write_camus(root, PhantomSettings(subjects=4, frames=12, seed=5, fractions=(0.5, 0.25, 0.25)))
    return root


@pytest.fixture(scope="session")
def real_camus() -> Path:
    folder = Path(os.environ.get("STUDY_REALDATA", REPOSITORY.parent / "shared" / "realdata")) / "camus"
    if not (folder / "database_nifti").is_dir():
        pytest.skip(f"the real CAMUS sample is not at {folder}; set STUDY_REALDATA to the folder that holds camus/")
    return folder
