"""Run nnU-Net in a process of its own: `python -m trainables.external.nnunet.child ROOT`.

Its folders are named in the environment.

ROOT contains `train_config.json` (settings), `predict_rows.npz` (images to predict) and nnU-Net's raw dataset with the
training cases. The process writes `epochs.jsonl` (one line per epoch), `predictions.npz` and `weights.pt`.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from trainables.common.errors import CheckpointError
from trainables.common.files import write_json
from trainables.engine.checkpoint import save_tensors
from trainables.external.nnunet.dataset import NAME
from trainables.external.nnunet.start import load_start
from trainables.networks.weight_files.read import WeightsFile

DATASET = 1
PLANS = "nnUNetPlans"


class Trainer(nnUNetTrainer):  # type: ignore[misc]  # the package has no types
    """nnU-Net's trainer with selected mirror axes and one log line per epoch."""

    axes: tuple[int, ...] = ()
    log: Path

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:  # noqa: N802  # the package's own name
        """Configure augmentation as nnU-Net does, except for the mirrored axes."""
        rotation, dummy, patch, _ = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        self.inference_allowed_mirroring_axes = self.axes or None
        return rotation, dummy, patch, self.axes or None

    def on_epoch_end(self) -> None:
        """Log the epoch's metrics."""
        epoch, known = self.current_epoch, self.logger.my_fantastic_logging
        super().on_epoch_end()
        metrics = {
            "loss": float(known["train_losses"][-1]),
            "val/loss": float(known["val_losses"][-1]),
            "val/pseudo_dice": float(known["mean_fg_dice"][-1]),
            "learning_rate": float(known["lrs"][-1]),
        }
        with self.log.open("a") as file:
            file.write(json.dumps({"fold": self.fold, "epoch": epoch + 1, "metrics": metrics}) + "\n")


def main(root: Path) -> None:
    """Plan, preprocess, train each fold, predict."""
    config = json.loads((root / "train_config.json").read_text())
    preprocessed = root / "nnUNet_preprocessed" / NAME
    configuration = config["configuration"]
    if not (root / "prepared").exists():
        extract_fingerprints([DATASET], num_processes=1, check_dataset_integrity=True)
        plan_experiments([DATASET])
        preprocess([DATASET], PLANS, configurations=[configuration], num_processes=[1])
        (root / "prepared").touch()
    plans = json.loads((preprocessed / f"{PLANS}.json").read_text())
    described = json.loads((preprocessed / "dataset.json").read_text())
    if configuration not in plans["configurations"]:
        raise SystemExit(f"nnU-Net plans no {configuration} for this data: {', '.join(plans['configurations'])}")
    torch.set_num_threads(config["threads"])
    os.environ.update(nnUNet_n_proc_DA="0")  # augmentation in this process; planning asks for at least one
    device = torch.device(config["device"])
    trained = [_train(config, plans, described, fold, device, root) for fold in range(config["folds"])]
    states = [trainer.network.state_dict() for trainer in trained]
    weights = {f"{n}.{key}": value.cpu() for n, state in enumerate(states) for key, value in state.items()}
    save_tensors(root / "weights.pt", weights)
    last = trained[-1]
    predictor = nnUNetPredictor(use_mirroring=bool(last.axes), device=device, perform_everything_on_device=False)
    predictor.manual_initialization(
        last.network, last.plans_manager, last.configuration_manager, states, described, "Trainer", last.axes or None
    )
    last.set_deep_supervision_enabled(False)
    with np.load(root / "predict_rows.npz") as request:
        predictions = {}
        for name in request.files:
            if name.endswith("/spacing"):
                continue
            own = config["own_fold"].get(name)
            predictor.list_of_parameters = states if own is None else [states[own]]
            predictions[name] = predictor.predict_single_npy_array(
                request[name].astype(np.float32), {"spacing": [float(s) for s in request[f"{name}/spacing"]]}
            ).astype(np.uint8)
    np.savez_compressed(root / "predictions.part.npz", **predictions)
    (root / "predictions.part.npz").rename(root / "predictions.npz")


def _train(config: Any, plans: Any, described: Any, fold: int, device: torch.device, root: Path) -> Trainer:
    torch.manual_seed(config["seed"] + fold)
    np.random.seed(config["seed"] + fold)  # noqa: NPY002  # what its augmentation draws from
    trainer = Trainer(plans, config["configuration"], fold, described, device)
    trainer.axes, trainer.log = tuple(config["axes"]), root / "epochs.jsonl"
    trainer.num_epochs, trainer.num_iterations_per_epoch = config["epochs"], config["iterations"]
    trainer.num_val_iterations_per_epoch = max(1, config["iterations"] // 5)
    trainer.save_every = 10
    trainer.initialize()
    if "start" in config:
        report = load_start(trainer.network, WeightsFile(config["start"]))
        write_json(root / "initial_weights.json", asdict(report))
    folder = Path(trainer.output_folder)
    for name in ("checkpoint_final.pth", "checkpoint_latest.pth"):
        if (folder / name).exists():
            trainer.load_checkpoint(str(folder / name))
            break
    if trainer.current_epoch < trainer.num_epochs:
        trainer.run_training()
    return trainer


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except CheckpointError as error:
        raise SystemExit(str(error)) from None
