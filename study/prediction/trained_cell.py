"""Trained networks of one cell of a study, with what is needed to use them on other images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from study.config.recorded_data import data_of_cell
from study.config.settings import parse
from study.planning.network_check import OWN_TRAINER
from study.plugins.recorded import load_recorded
from study.prediction.frames import frames_of
from study.scheduling.state import StudyState
from study.storage.artifacts import ArtifactStore
from study.storage.ledger import read_ledger
from study.storage.plan_file import read_plan
from study.storage.workspace import StudyFolder
from trainables.common.errors import UserError, did_you_mean
from trainables.data.settings import DataSettings
from trainables.data.store.frames import FrameStore
from trainables.downstream.settings import DownstreamSettings
from trainables.networks.network import NetworkSettings, SegmentationNetwork
from trainables.networks.weights import part_of
from trainables.prediction.preprocessing import Preprocessing


@dataclass(frozen=True)
class Replicate:
    """A finished replicate.

    Attributes:
        job: its id.
        index: its number in the cell, from 0.
        digest: address of its artifact.
    """

    job: str
    index: int
    digest: str


@dataclass(frozen=True, eq=False)
class TrainedCell:
    """Finished replicates of a cell, and the data that they were trained on.

    Attributes:
        folder: folder of the study.
        cell: key of the cell.
        replicates: the replicates in order, at least one.
        data: settings of the cell's dataset.
        store: frames of the cell's dataset.
        downstream: settings of the cell's chosen configuration.
        network: settings of its network.
    """

    folder: StudyFolder
    cell: str
    replicates: Sequence[Replicate]
    data: DataSettings
    store: FrameStore
    downstream: DownstreamSettings
    network: NetworkSettings

    @property
    def preprocessing(self) -> Preprocessing:
        """Input and output of the networks."""
        return Preprocessing.of_store(self.data, self.store)

    @property
    def evaluation_batch(self) -> int:
        """Most images of a forward pass in the study's own evaluation."""
        return self.downstream.fit.micro_batch or self.downstream.fit.batch_size

    def networks(self, replicate: Replicate) -> list[SegmentationNetwork]:
        """Return a replicate's network with its weights, or those of its folds.

        Raises:
            CheckpointError: the artifact is missing, damaged, or does not fit the network.
        """
        weights = ArtifactStore(self.folder.workspace.artifacts).weights(replicate.digest)
        folds = self.downstream.folds
        parts = [weights] if folds is None else [part_of(weights, str(fold)) for fold in range(folds)]
        return [self._network(part) for part in parts]

    def _network(self, weights: Mapping[str, Tensor]) -> SegmentationNetwork:
        network = self.network.build(self.store.channels, len(self.store.classes))
        network.load_state_dict(dict(weights))
        return network


def trained_cell(folder: StudyFolder, cell: str, replicate: int | None = None) -> TrainedCell:
    """Return the finished replicates of a cell.

    Args:
        folder: folder of the study.
        cell: key of the cell; its levels may stand in any order.
        replicate: number of the only replicate to use, from 0; None for all.

    Raises:
        UserError: the cell or replicate is unknown or has not finished, another package trained its network, or the
            frame store is missing.
    """
    plan = read_plan(folder.plan)
    load_recorded(plan)
    known = [str(entry["key"]) for entry in plan.get("cells", ())]
    same = [key for key in known if sorted(key.split(",")) == sorted(cell.split(","))]  # levels in any order
    if not same:
        raise UserError(f"study '{folder.name}' has no cell '{cell}'{did_you_mean(cell, known)}")
    cell = same[0]
    chosen = _replicates(folder, cell)
    if not chosen:
        raise UserError(f"study '{folder.name}': the cell '{cell}' has no finished replicate yet")
    if replicate is not None:
        numbers = ", ".join(str(each.index) for each in chosen)
        chosen = [each for each in chosen if each.index == replicate]
        if not chosen:
            raise UserError(f"study '{folder.name}', cell '{cell}': no replicate {replicate} (found {numbers})")
    config = _config(folder, chosen[0])
    network = parse(NetworkSettings, config["network"])
    if network.trainer != OWN_TRAINER:
        raise UserError(
            f"study '{folder.name}', cell '{cell}': its network '{config['network']['name']}' is built and run by "
            "another package, whose plans are not part of the weights. Fix: choose a cell with another network (--cell)"
        )
    data, store = data_of_cell(plan, cell), _store(folder, chosen[0], str(config["data"]))
    return TrainedCell(folder, cell, chosen, data, store, parse(DownstreamSettings, config["downstream"]), network)


def _replicates(folder: StudyFolder, cell: str) -> list[Replicate]:
    outcomes = StudyState.replay(read_ledger(folder.ledger)).outcomes.values()
    found = [
        Replicate(each.job, each.index, each.digest)
        for each in outcomes
        if each.kind == "replicate" and each.cell == cell and each.outcome.status == "completed"
    ]
    return sorted(found, key=lambda each: each.index)


def _config(folder: StudyFolder, replicate: Replicate) -> dict[str, Any]:
    """Return the configuration of a replicate's job."""
    artifacts = ArtifactStore(folder.workspace.artifacts)
    if not artifacts.has(replicate.digest):
        raise UserError(
            f"{artifacts.folder(replicate.digest)}: the weights of {replicate.job} are missing. "
            f"Fix: study repair {folder.name}"
        )
    config: dict[str, Any] = artifacts.about(replicate.digest)["config"]
    return config


def _store(folder: StudyFolder, replicate: Replicate, fingerprint: str) -> FrameStore:
    """Return the frame store that a replicate was trained on, which has the mean and standard deviation of its input.

    Raises:
        UserError: it is missing, or has other frames now.
    """
    store = frames_of(folder, replicate.job, fingerprint)
    if store is None:
        raise UserError(
            f"{folder.workspace.data / 'frames'}: the frames that {replicate.job} was trained on (fingerprint "
            f"{fingerprint[:12]}) are missing, with their mean gray. Fix: study report {folder.name} --prepare"
        )
    return store
