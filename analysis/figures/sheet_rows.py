"""Choice of the frames that a contact sheet shows of each sequence."""

from __future__ import annotations

import numpy as np

from trainables.data.sampling.spread import spread_evenly
from trainables.data.store.decode import DecodedSequence
from trainables.data.store.frames import FrameStore

_DEPTHS = (0.5, 0.2, 0.8, 0.35, 0.65)  # relative places of the slices that neighbouring volumes show


def chosen_rows(store: FrameStore, count: int) -> list[int]:
    """Return the rows to draw, in the store's order.

    Sequences are sampled evenly over the dataset. With fewer sequences than panels, each shows several frames, evenly
    from the first to the last one with a structure. With one panel each, a volume shows a slice whose depth differs
    between neighbours; another sequence shows its largest mask, end-diastole and end-systole in turn.

    Args:
        store: frame store of the dataset.
        count: largest number of rows.
    """
    _, first, frames = np.unique(store.index["sequence"], return_index=True, return_counts=True)
    order = np.argsort(first)
    taken = spread_evenly(len(order), count)
    share, extra = divmod(count, len(taken))
    rows: list[int] = []
    for number, sequence in enumerate(order[taken]):
        whole = np.arange(first[sequence], first[sequence] + frames[sequence])
        rows += _shown(store, whole, number, share + (number < extra))
    return rows


def sampled_frame(decoded: DecodedSequence) -> int:
    """Return the place among `decoded.frames` of the frame with the largest mask; the middle one without masks."""
    masks = decoded.masks or {}
    sizes = [int((masks[frame] > 0).sum()) if frame in masks else 0 for frame in decoded.frames]
    return int(np.argmax(sizes)) if any(sizes) else len(sizes) // 2


def _shown(store: FrameStore, rows: np.ndarray, number: int, count: int) -> list[int]:
    """Return at most `count` rows of the sequence `rows`, which is the sheet's sequence `number`."""
    masked = rows[store.index["mask"][rows] >= 0]
    sizes = np.array([int((store.masks[store.index["mask"][row]] > 0).sum()) for row in masked])
    filled = masked[sizes > 0] if sizes.any() else masked
    among = filled if len(filled) else rows
    if count > 1:
        return [int(row) for row in among[spread_evenly(len(among), count)]]
    if store.index["stack"][rows[0]] or not len(filled):
        depth = _DEPTHS[number % len(_DEPTHS)] if store.index["stack"][rows[0]] else 0.5
        return [int(among[int(depth * len(among))])]
    phases = [rows_of for phase in (1, 2) if len(rows_of := filled[store.index["phase"][filled] == phase])]
    chosen = phases[number % len(phases)] if phases else filled
    return [int(chosen[int(np.argmax(sizes[np.isin(masked, chosen)]))])]
