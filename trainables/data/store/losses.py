"""Count of a dataset's losses in the unit that is lost: sequences, masks or listed files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainables.data.records import DatasetIssue, DatasetListing, SequenceRecord

SEQUENCE, MASK, FILE = "sequence", "mask", "file"


@dataclass
class Losses:
    """Number of listed and of lost items by unit.

    A mask is that of one frame; a lost file of masks counts as its masks. Lost rows and images count as files.

    Attributes:
        listed: number of items by unit in the dataset's listing, readable or not.
        lost: number of these that are left out.
    """

    listed: Mapping[str, int]
    lost: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of_listing(cls, scan: DatasetListing) -> Losses:
        """Count what a listing holds, and what its issues leave out."""
        records = scan.records
        masks = sum(len(record.labelled) for record in records)
        mask_files = sum(1 if _of_all_frames(record) else len(record.labelled) for record in records if record.labelled)
        per_file = max(1, round(masks / mask_files)) if mask_files else 1
        lost = Counter(unit(issue) for issue in scan.issues if issue.severity != "note")
        lost[MASK] *= per_file
        listed = {SEQUENCE: len(records), MASK: masks, FILE: sum(len(record.files) for record in records)}
        return cls({name: number + lost[name] for name, number in listed.items()}, lost)

    def add(self, record: SequenceRecord, issues: Sequence[DatasetIssue], masks: int) -> None:
        """Count what a sequence lost while it was decoded.

        Args:
            record: the sequence.
            issues: issues found while decoding it.
            masks: number of frames whose mask was decoded.
        """
        found = Counter(unit(issue) for issue in issues if issue.severity != "note")
        if found[MASK]:
            found[MASK] = max(found[MASK], len(record.labelled) - masks)
        self.lost += found

    def excess(self, tolerated: float) -> list[str]:
        """Return the units of which more than the tolerated share is lost, as "3 losses in 100 sequences"."""
        return [
            f"{number} losses in {self.listed[name]} {name}s"
            for name, number in self.lost.items()
            if number > tolerated * self.listed[name]
        ]


def _of_all_frames(record: SequenceRecord) -> bool:
    """Return True where a file holds the masks of all frames: "mask", or "mask:1" for one structure."""
    return any(role.partition(":")[0] == MASK and "/" not in role for role in record.files)


def unit(issue: DatasetIssue) -> str:
    """Return the unit in which an issue's loss is counted."""
    if issue.skipped in ("", SEQUENCE):
        return SEQUENCE
    return MASK if issue.skipped == MASK else FILE
