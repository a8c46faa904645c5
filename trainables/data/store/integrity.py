"""Judging a dataset's faults: what they cost, and whether a study may run on what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainables.common.errors import DataError
from trainables.data.records import Clip, DatasetIssue

OnError = Literal["stop", "skip"]
_SHOWN = 5


@dataclass(frozen=True)
class Tolerance:
    """What a dataset may lose before it is refused.

    Attributes:
        losses: sequences, masks and rows left out, as a share of the listed sequences.
        on_error: whether a file that cannot be decoded stops the study or is left out as a loss.
    """

    losses: float = 0.02
    on_error: OnError = "stop"


def unreadable_fault(root: Path, clip: Clip, error: DataError) -> DatasetIssue:
    """The fault of a sequence whose reading failed with `error`."""
    text = str(error)
    file = next((file for file in clip.files.values() if text.startswith(f"{root / file}: ")), "")
    if file:
        text = text.removeprefix(f"{root / file}: ")
    return DatasetIssue(
        file or next(iter(clip.files.values()), ""), "", "unreadable sequence", text, "damage", "sequence"
    )


def lost_sequences(faults: Iterable[DatasetIssue]) -> int:
    """How many sequences are left out whole."""
    return sum(fault.skipped == "sequence" for fault in faults)


def summary(faults: Iterable[DatasetIssue]) -> dict[str, int]:
    """Number of faults of each kind, the most frequent first. Free of identifiers."""
    return dict(Counter(fault.kind for fault in faults).most_common())


def judge(root: Path, faults: Sequence[DatasetIssue], clips: int, tolerance: Tolerance) -> None:
    """Refuse a dataset that is damaged, or that would lose more than is tolerated.

    Args:
        root: of the dataset, for the message.
        faults: all that were found.
        clips: sequences listed.
        tolerance: what is acceptable.

    Raises:
        DataError: with the first faults and how to go on.
    """
    damaged = [fault for fault in faults if fault.severity == "damage"]
    if damaged and tolerance.on_error == "stop":
        raise DataError(
            f"{root}: {len(damaged)} damaged of {clips} sequences\n{listing(damaged)}\n"
            "Repair or remove them, or set `on_error: skip` to go on without them."
        )
    lost = [fault for fault in faults if fault.severity != "note"]
    if len(lost) > tolerance.losses * clips:
        raise DataError(
            f"{root}: {len(lost)} losses in {clips} sequences, more than the tolerated share {tolerance.losses:g}\n"
            f"{listing(lost)}\nRepair them, or raise `tolerance`."
        )


def listing(faults: Sequence[DatasetIssue], limit: int = _SHOWN) -> str:
    """The first faults, one a line, and how many more there are."""
    lines = [f"  {fault}" for fault in faults[:limit]]
    if len(faults) > limit:
        lines.append(f"  ... and {len(faults) - limit} more")
    return "\n".join(lines)
