from pathlib import Path

import pytest
from whole_studies import TINY, study


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of a whole tiny study that nothing disturbed."""
    root = tmp_path_factory.mktemp("whole")
    ran = study(root, "run", str(TINY))
    assert ran.returncode == 0, ran.stderr
    return root
