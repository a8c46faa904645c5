"""Tests outside the group `cuda` run on the CPU, on a machine with GPUs, too."""

import os
import subprocess
import sys

import torch


def test_no_gpu_is_visible_to_tests_and_their_processes():
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert not torch.cuda.is_available()
    seen = subprocess.run(
        [sys.executable, "-c", "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"], capture_output=True, check=True
    )
    assert seen.stdout.strip() == b""
