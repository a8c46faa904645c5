"""Decision whether a study may run on a dataset in spite of its issues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainables.common.errors import DataError, UserError
from trainables.data.records import SPLITS, DatasetIssue, SequenceRecord, Split
from trainables.data.store.losses import SEQUENCE, Losses

OnError = Literal["stop", "skip"]
_SHOWN = 5


@dataclass(frozen=True)
class Tolerance:
    """Largest loss of data with which a dataset is accepted.

    Attributes:
        losses: largest share of the sequences, of the masks and of the listed files that may be left out, in [0, 1].
        on_error: "stop" refuses a dataset with a file that cannot be decoded; "skip" counts the file as a loss.
    """

    losses: float = 0.02
    on_error: OnError = "stop"


def unreadable_issue(root: Path, record: SequenceRecord, error: UserError) -> DatasetIssue:
    """Return the issue of a sequence whose reading failed with `error`."""
    text = str(error)
    file = next((file for file in record.files.values() if text.startswith(f"{root / file}: ")), "")
    text = text.removeprefix(f"{root / file}: ").removeprefix(f"{root}: ") if file else text
    return DatasetIssue(
        file or next(iter(record.files.values()), ""), "", "unreadable sequence", text, "damage", "sequence"
    )


def count_by_kind(issues: Iterable[DatasetIssue]) -> dict[str, int]:
    """Return the number of issues of each kind, the most frequent first; free of identifiers."""
    return dict(Counter(issue.kind for issue in issues).most_common())


def enforce_tolerance(root: Path, issues: Sequence[DatasetIssue], losses: Losses, tolerance: Tolerance) -> None:
    """Refuse a dataset that is damaged, or that would lose more than is tolerated.

    Args:
        root: the dataset's folder, for the message.
        issues: all issues found.
        losses: number of listed and of lost items.
        tolerance: the largest acceptable loss.

    Raises:
        DataError: the dataset is refused; the message lists the first issues and a fix.
    """
    damaged = [issue for issue in issues if issue.severity == "damage"]
    if damaged and tolerance.on_error == "stop":
        raise DataError(
            f"{root}: {len(damaged)} damaged of {losses.listed[SEQUENCE]} sequences\n{format_issues(damaged)}\n"
            "Fix: repair or remove them, or set `on_error: skip` to run without them."
        )
    excess = losses.excess(tolerance.losses)
    if excess:
        lost = [issue for issue in issues if issue.severity != "note"]
        raise DataError(
            f"{root}: {', '.join(excess)}, more than the tolerated share {tolerance.losses:g}\n"
            f"{format_issues(lost)}\nFix: repair them, or raise `tolerance`."
        )


def require_frames(root: Path, frames: int) -> None:
    """Refuse a dataset of which no frame is left.

    Raises:
        DataError: `frames` is 0.
    """
    if not frames:
        raise DataError(f"{root}: no frame to store. Fix: set `stride` to 1 or more, or check `views` and the files")


def require_folder(root: Path, title: str) -> None:
    """Refuse a dataset whose folder does not exist.

    Args:
        root: the dataset's folder.
        title: the dataset's published name, for the message.

    Raises:
        DataError: `root` is not a folder.
    """
    if not root.is_dir():
        problem = "not a folder" if root.exists() else "the folder does not exist"
        raise DataError(f"{root}: {problem} (expected {title}). Fix: correct the dataset's path")


def missing_labels(place: Path | str, labelled: Mapping[Split, float], needed: Sequence[Split] = SPLITS) -> str:
    """Return why no network can be fine-tuned and tested on a dataset: a split without labels; "" if each has some.

    Args:
        place: the dataset's folder or name, for the message.
        labelled: number of labelled subjects or frames in each split.
        needed: splits that need labels.
    """
    empty = [split for split in needed if not labelled[split]]
    if not empty:
        return ""
    return (
        f"{place}: no labelled subject in {', '.join(empty)} (expected at least one in each of {', '.join(needed)}). "
        "Fix: add labelled subjects, or change `split` or `fractions`"
    )


def format_issues(issues: Sequence[DatasetIssue], limit: int = _SHOWN) -> str:
    """Return the first issues, one per line, and the number of further ones."""
    lines = [f"  {issue}" for issue in issues[:limit]]
    if len(issues) > limit:
        lines.append(f"  ... and {len(issues) - limit} more")
    return "\n".join(lines)
