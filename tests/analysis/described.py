"""A fake study whose plan records the data and the design, as the plans of real studies do."""

from __future__ import annotations

import json
from typing import Any

from study.storage.workspace import StudyFolder

PHANTOM = {"subjects": 20, "frames": 24}
ADAM = {"name": "adam", "lr": 1e-3}


def described(folder: StudyFolder, *, phantom: bool = False, title: str = "Fake study on ellipses") -> StudyFolder:
    """Add settings, numbers of labels and a measured machine to a fake study."""
    plan: dict[str, Any] = json.loads(folder.plan.read_text())
    plan["title"] = title
    plan["spec"] = {
        "data": {"layout": {"name": "camus"}, "phantom": PHANTOM if phantom else None},
        "network": {"name": "unet", "backbone": {"name": "unet_encoder", "width": 8, "depth": 2}},
        "pretext": {"method": {"name": "random"}, "fit": {"epochs": 40}},
        "factors": [
            {
                "name": "method",
                "levels": {"random": {"pretext.method": "random"}, "simclr": {"pretext.method": "simclr"}},
            },
            {"name": "label_fraction", "levels": {level: {} for level in plan["factors"]["label_fraction"]}},
        ],
        "downstream": {"fit": {"epochs": 12, "steps_per_epoch": None, "batch_size": 8, "optimizer": ADAM}},
        "replicates": {"runs": plan["replicates"], "pretrainings": 2},
        "search": {
            "sampler": "tpe",
            "trials": 4,
            "space": {"downstream.fit.optimizer.lr": {"name": "loguniform", "low": 1e-4, "high": 1e-1}},
        },
    }
    plan["software"] = {"pretext-study": "9.9", "torch": "2.13.0"}
    for cell in plan["cells"]:
        training = round(20 * float(cell["levels"]["label_fraction"]))
        cell["labels"] = {"training": training, "validation": 3}
    folder.plan.write_text(json.dumps(plan))
    folder.workspace.calibration.write_text(json.dumps({"node7, one CPU core, torch 2.13.0": {}}))
    return folder
