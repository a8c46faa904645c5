"""The downstream stage by nnU-Net: the same subjects, the same judgement, another program's network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from trainables.common.errors import UserError
from trainables.data.store.frames import FrameStore
from trainables.downstream.segmentation import Predictions, judge, scores_of
from trainables.downstream.selection import around, dense_sequences, rows_of
from trainables.engine.runtime import Runtime
from trainables.engine.settings import FitResult
from trainables.external.nnunet.run import train_nnunet
from trainables.external.nnunet.settings import NnUNet


def finetune_nnunet(
    network: NnUNet,
    stores: tuple[FrameStore, FrameStore],
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    views: Sequence[str] | None,
    tested: np.ndarray | None,
    epochs: int,
    runtime: Runtime,
    seed: int,
    folder: Path,
) -> tuple[dict[str, Tensor], FitResult, Predictions | None]:
    """Train on each part's subjects, judge by the others and on the rows to test.

    Args:
        network: the settings.
        stores: with the masks to train on, and with those to judge by.
        parts: subjects to train on and to judge by, of each fold.
        views: of the frames; None for all.
        tested: rows to test on, or None.
        epochs: of each fold.
        runtime: where it runs; one worker.
        seed: as far as nnU-Net takes one.
        folder: for its files.

    Returns:
        The weights, the run and the answers on the rows to test.
    """
    if runtime.world_size > 1:
        raise UserError("network: nnunet trains with one worker, expected resources.downstream.workers: 1")
    seen, judged = stores
    rows = [(rows_of(seen, train, views), rows_of(seen, val, views)) for train, val in parts]
    if network.temporal:
        for train, _ in rows:
            flat = train[seen.index["stack"][train] == 0]
            if len(flat):
                dense_sequences(seen, flat)
    val = np.unique(np.concatenate([rows_of(judged, val, views) for _, val in parts]))
    asked = val if tested is None else np.union1d(val, tested)
    if network.temporal:
        asked = around(judged, asked)
    answers = train_nnunet(network, seen, rows, asked, epochs, seed, runtime.device, folder, runtime.report)

    def judgement(wanted: np.ndarray) -> Predictions:
        return judge(judged, wanted, np.stack([answers.masks[int(row)] for row in wanted]))

    last = answers.history[-1] if answers.history else {}
    scores = {f"val/{name}": value for name, value in scores_of(judged, judgement(val)).items()}
    fitted = FitResult({**last, **scores}, len(answers.history), answers.history)
    return dict(answers.weights), fitted, judgement(tested) if tested is not None else None
