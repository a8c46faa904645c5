"""A cell's trained networks as one graph with their preprocessing, and where each of them is from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.prediction.trained_cell import Replicate, TrainedCell
from study.storage.artifacts import ArtifactStore
from trainables.common.errors import UserError
from trainables.networks.network import SegmentationNetwork
from trainables.prediction.graph import SegmentationGraph


@dataclass(frozen=True, eq=False)
class ExportedNetworks:
    """Networks of a cell's replicates.

    Attributes:
        cell: the cell.
        networks: networks of each replicate, in the order of the cell's replicates: one, or one for each fold.
        about: description of each replicate's artifact: `config`, `metrics`, `digest`.
    """

    cell: TrainedCell
    networks: Sequence[Sequence[SegmentationNetwork]]
    about: Sequence[Mapping[str, Any]]

    @property
    def title(self) -> str:
        """Name of the study, the cell, and the replicate if it is the only one."""
        replicates = self.cell.replicates
        one = f", replicate {replicates[0].index}" if len(replicates) == 1 else ""
        return f"{self.cell.folder.name}, {self.cell.cell}{one}"

    @property
    def members(self) -> list[tuple[Replicate, SegmentationNetwork]]:
        """Each network with its replicate."""
        pairs = zip(self.cell.replicates, self.networks, strict=True)
        return [(replicate, network) for replicate, networks in pairs for network in networks]

    def graph(self) -> SegmentationGraph:
        """Return the mean of all networks."""
        return SegmentationGraph([network for _, network in self.members], self.cell.preprocessing)


def read_networks(cell: TrainedCell) -> ExportedNetworks:
    """Read the networks of a cell's replicates.

    Raises:
        UserError: the networks segment sequences, or weights are missing; the message names the replicates.
    """
    name = f"study '{cell.folder.name}', cell '{cell.cell}'"
    if cell.network.temporal:
        raise UserError(f"{name}: its networks segment sequences of frames, expected networks of single images")
    artifacts = ArtifactStore(cell.folder.workspace.artifacts)
    lacking = [str(each.index) for each in cell.replicates if not artifacts.has(each.digest)]
    if lacking:
        text = f"{name}: cannot be exported (lacks the weights of replicates {', '.join(lacking)})"
        raise UserError(f"{text}. Fix: study repair {cell.folder.name}, or choose another --replicate")
    networks = [[network.eval().requires_grad_(False) for network in cell.networks(each)] for each in cell.replicates]
    return ExportedNetworks(cell, networks, [artifacts.about(each.digest) for each in cell.replicates])
