"""Damaged files of every format become faults: no traceback, no hang, no more than a gigabyte of memory."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz.py")
REPOSITORY = SCRIPT.parents[3]
KINDS = {
    "pictures": (".png", ".jpg", ".bmp", ".tiff", ".webp"),
    "volumes": (".nii", ".nii.gz", ".mha", ".mhd", ".dcm"),
    "arrays": (".npy", ".npz", *((".h5",) if find_spec("h5py") else ())),
    "videos": (".avi", ".mp4"),
    "tables": (".csv", "echonet", "decathlon"),
}
SECONDS, SEED = 3, 0


def fuzz(folder: Path, seconds: float, seed: int, *kinds: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(folder), str(seconds), str(seed), *kinds]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    limit = len(kinds) * (seconds + 30) + 60
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("group", KINDS)
def test_mutated_files_are_faults_and_never_tracebacks(tmp_path, group):
    ended = fuzz(tmp_path, SECONDS, SEED, *KINDS[group])
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr[-4000:]}"
    found = {
        kind: (int(mutations), int(refused))
        for kind, mutations, refused in re.findall(r"(\S+) (\d+) mutations, (\d+) refused", ended.stdout)
    }
    assert tuple(found) == KINDS[group]
    assert all(mutations >= 10 and refused >= 1 for mutations, refused in found.values()), found
