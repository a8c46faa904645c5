"""The trained networks of a study's cell, with everything that their input needs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from study.config.definition import Study
from study.config.settings import parse
from study.config.spec import StudySpec
from study.planning.network_check import OWN_TRAINER
from study.planning.plan import Plan
from study.scheduling.state import StudyState
from study.storage.artifacts import ArtifactStore
from study.storage.events import JobFinished
from study.storage.ledger import read_ledger
from study.storage.workspace import StudyFolder
from trainables.common.errors import UserError
from trainables.data.store.frames import FrameStore
from trainables.networks.network import NetworkSettings
from trainables.networks.weights import part_of
from trainables.prediction.preprocessing import Preprocessing


@dataclass(frozen=True, eq=False)
class TrainedReplicate:
    """Networks of one replicate: one, or one for each fold of a cross-validation.

    Attributes:
        finished: ledger event of its end.
        about: description of its artifact: `config`, `metrics`, `digest`.
        networks: the networks, with their trained weights.
    """

    finished: JobFinished
    about: Mapping[str, Any]
    networks: Sequence[nn.Module]


@dataclass(frozen=True, eq=False)
class TrainedCell:
    """Trained networks of a cell.

    Attributes:
        folder: folder of the study.
        cell: key of the cell.
        spec: settings of the study in this cell, with the chosen values of searched settings.
        network: settings of the networks.
        store: frame store on which they were trained.
        replicates: the replicates to export.
    """

    folder: StudyFolder
    cell: str
    spec: StudySpec
    network: NetworkSettings
    store: FrameStore
    replicates: Sequence[TrainedReplicate]

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of the networks' input."""
        return Preprocessing.of_store(self.spec.data, self.store)

    @property
    def networks(self) -> list[nn.Module]:
        """Networks of all replicates and folds, whose mean probabilities the export gives."""
        return [network for replicate in self.replicates for network in replicate.networks]

    @property
    def title(self) -> str:
        """Name of the study, the cell and the replicate, if it is one of several."""
        first = self.replicates[0].finished
        one = f", replicate {first.index}" if len(self.replicates) == 1 else ""
        return f"{self.folder.name}, {self.cell or 'its only cell'}{one}"


def read_cell(folder: StudyFolder, study: Study, cell: str, replicate: int | None = None) -> TrainedCell:
    """Read the trained networks of a cell.

    Args:
        folder: folder of the study.
        study: the study as its plan describes it.
        cell: key of the cell.
        replicate: number of the only replicate to read; None for all that have finished.

    Raises:
        UserError: the networks segment sequences or belong to another package, no replicate has finished, or files are
            missing; the message lists what.
    """
    finished = _finished(folder, cell, replicate)
    spec = Plan(study).resolve(cell, finished[0].params)
    name = f"study '{folder.name}', cell {cell}"
    if spec.network.trainer != OWN_TRAINER:
        raise UserError(f"{name}: networks of {spec.network.trainer} have an export of their own")
    if spec.network.temporal:
        raise UserError(f"{name}: the networks segment sequences of frames, expected networks of single images")
    artifacts = ArtifactStore(folder.workspace.artifacts)
    frames = frames_of(folder, finished[0].job)
    lacking = [f"the weights of replicate {each.index}" for each in finished if not artifacts.has(each.digest)]
    if frames is None:
        lacking.append("the frame store with the mean, standard deviation and class names of its training")
    if lacking or frames is None:
        text = f"cannot be exported, as the workspace lacks {'; '.join(lacking)}"
        raise UserError(f"{name}: {text}. Fix: study repair {folder.name}")
    read = [_replicate(each, artifacts, frames) for each in finished]
    network = parse(NetworkSettings, read[0].about["config"]["network"])
    return TrainedCell(folder, cell, spec, network, frames, read)


def frames_of(folder: StudyFolder, job: str) -> FrameStore | None:
    """Open the frame store of a job, also in a workspace that was moved; None where it does not exist."""
    config = folder.job(job).config
    if not config.exists():
        return None
    described = json.loads(config.read_text())
    places = (Path(described["frames"]), folder.workspace.data / "frames" / Path(described["frames"]).name)
    for place in places:
        if place.is_dir() and (store := FrameStore.open(place)).fingerprint == described["config"]["data"]:
            return store
    return None


def _finished(folder: StudyFolder, cell: str, replicate: int | None) -> list[JobFinished]:
    """Return the completed replicates of a cell in their order, or one of them.

    Raises:
        UserError: none has completed, or not this one.
    """
    ended = StudyState.replay(read_ledger(folder.ledger)).outcomes.values()
    of_cell = [end for end in ended if end.kind == "replicate" and end.cell == cell]
    done = {end.index: end for end in of_cell if end.outcome.status == "completed"}
    if replicate is None and done:
        return [done[index] for index in sorted(done)]
    if replicate not in done:
        found = ", ".join(map(str, sorted(done))) or "none"
        asked = "a finished replicate" if replicate is None else f"replicate {replicate}"
        raise UserError(f"study '{folder.name}', cell {cell}: expected {asked} (found {found})")
    return [done[replicate]]


def _replicate(finished: JobFinished, artifacts: ArtifactStore, store: FrameStore) -> TrainedReplicate:
    """Return a replicate's networks, in evaluation mode.

    Raises:
        CheckpointError: the artifact is damaged.
    """
    about, weights = artifacts.about(finished.digest), artifacts.weights(finished.digest)
    config = about["config"]
    settings = parse(NetworkSettings, config["network"])
    folds = config["downstream"].get("folds")
    networks = []
    for part in [weights] if folds is None else [part_of(weights, str(fold)) for fold in range(folds)]:
        network = settings.build(store.channels, len(store.classes))
        network.load_state_dict(part)
        networks.append(network.eval().requires_grad_(False))
    return TrainedReplicate(finished, about, networks)
