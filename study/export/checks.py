"""Comparison of exported networks with the study's own predictions, and of the exported files with each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from study.export.networks import ExportedNetworks
from study.prediction.trained_cell import Replicate, TrainedCell
from trainables.common.errors import UserError
from trainables.prediction.graph import SegmentationGraph

FRAMES = 8
"""Test frames of a comparison."""

MAX_DIFFERING = 0.01
"""Largest share of pixels that may differ from the study's masks, which may have been computed in bf16 or on a GPU."""

MAX_DIFFERENCE = 1e-3
"""Largest difference of a probability between two forms of one graph."""


def compare_with_study(exported: ExportedNetworks) -> str:
    """Segment test frames by each replicate alone, compare with its stored predictions, and return a line of text.

    Raises:
        UserError: more than one percent of the pixels differ, so that the weights or frames are not the study's.
    """
    if exported.cell.downstream.test == "folds":
        return "study: not compared, as each stored mask is of the network of one fold alone"
    differing, compared = 0, 0
    for replicate, networks in zip(exported.cell.replicates, exported.networks, strict=True):
        found = _masks_of(exported.cell, replicate, networks)
        if found is not None:
            differing += int((found[0] != found[1]).sum())
            compared += found[0].size
    if compared == 0:
        return "study: no stored predictions to compare with"
    share = differing / compared
    text = f"{differing} of {compared:,} pixels differ from the study's masks ({100 * share:.3g}%)"
    if share > MAX_DIFFERING:
        raise UserError(f"{exported.title}: {text}. Fix: study repair {exported.cell.folder.name}")
    return f"study: {text}"


def example_arguments(cell: TrainedCell, graph: SegmentationGraph) -> list[tuple[Tensor, ...]]:
    """Return arguments of the graph: test frames as stored, and resized to a smaller and a larger image."""
    rows = (*cell.store.rows("test"), *cell.store.rows("val"), *cell.store.rows("train"))[:FRAMES]
    frames = torch.from_numpy(cell.store.images[list(rows)]).float()
    side = cell.store.image_size
    sizes = ((side, side), (2 * side + 1, 3 * side), (side - 1, side // 2 + 1))
    return [graph.example(F.interpolate(frames, size, mode="nearest")) for size in sizes]


def compare_forms(
    name: str,
    run: Callable[[Sequence[Tensor]], np.ndarray],
    graph: SegmentationGraph,
    given: Sequence[tuple[Tensor, ...]],
) -> str:
    """Compare another form of a graph with the graph, and return a line of text.

    Args:
        name: file of the form.
        run: returns the form's probabilities for arguments of the graph.
        graph: the graph in PyTorch.
        given: arguments to compare with.

    Raises:
        UserError: a probability differs by more than `MAX_DIFFERENCE`.
    """
    largest, differing, pixels = 0.0, 0, 0
    for arguments in given:
        with torch.no_grad():
            expected = graph(*arguments).numpy()
        found = run(arguments)
        largest = max(largest, float(np.abs(found - expected).max()))
        differing += int((found.argmax(1) != expected.argmax(1)).sum())
        pixels += found.argmax(1).size
    text = f"largest difference of a probability {largest:.2g}, {differing} of {pixels:,} pixels differ"
    if not largest <= MAX_DIFFERENCE:
        raise UserError(f"{name}: {text} (expected at most {MAX_DIFFERENCE:g})")
    return f"{name}: {text}"


def _masks_of(
    cell: TrainedCell, replicate: Replicate, networks: Sequence[nn.Module]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return masks `(N, S, S)` of some test frames by the replicate, and those stored; None where none are stored."""
    path = cell.folder.job(replicate.job).predictions
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as stored:
        chosen = np.linspace(0, len(stored["rows"]) - 1, FRAMES).round().astype(int)
        rows, masks = stored["rows"][chosen], stored["masks"][chosen]
    graph = SegmentationGraph(networks, cell.preprocessing)
    with torch.no_grad():
        found = graph.of_square(torch.from_numpy(cell.store.images[rows])).argmax(1)
    return found.numpy().astype(np.uint8), masks
