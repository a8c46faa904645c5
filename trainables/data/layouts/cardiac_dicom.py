"""Cine cardiac MR as scanners export it: DICOM series, sorted into views by what they say and by their geometry."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainables.common.errors import DataError
from trainables.data.layouts.dicom_series import Series, find_series, read_moments
from trainables.data.readers.grey import GreyRule, percentile_window
from trainables.data.records import DatasetIssue, DatasetListing, Layout, Pixels, SequenceRecord

VIEWS = ("SA", "2CH", "3CH", "4CH", "RVOT")
_DESCRIBED = {
    "2CH": r"2\s*-?_?(ch|chamber)",
    "3CH": r"3\s*-?_?(ch|chamber)|lvot",
    "4CH": r"4\s*-?_?(ch|chamber)",
    "RVOT": r"rvot",
    "SA": r"(^|[^a-z])(sax?|short[ _-]?axis)([^a-z]|$)",
}
_PARALLEL = np.cos(np.deg2rad(5))
_STACK = 3  # parallel planes that make a short-axis stack
_ACROSS = np.sin(np.deg2rad(25))  # a long-axis plane's normal leans at most so far towards the heart's long axis


@dataclass(frozen=True)
class CardiacDicom(Layout):
    """A folder a subject, anywhere below it DICOM files of cine series.

    The short axis is the stack of parallel planes. A long-axis view is the one that its description names and whose
    plane stands across the stack; of several that claim the same view the one that passes closest to the stack's center
    line and best agrees with it is taken, and the others are reported. Nothing of the header but geometry is kept.
    Phase images, copies of a file and objects that are no images are left out, see `find_series`.

    Attributes:
        series: the view of a series by its number, where description and geometry mislead: "6=4CH"; "7=" leaves a
            series out.
    """

    title: ClassVar[str] = "cardiac MR (DICOM)"
    grey: ClassVar[GreyRule] = "stretched"
    series: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for entry in self.series:
            number, _, view = entry.partition("=")
            if not number.strip().isdigit() or view.strip() not in ("", *VIEWS):
                raise ValueError(
                    f"series '{entry}': expected NUMBER=VIEW with a view of {', '.join(VIEWS)}, or NUMBER="
                )

    def scan(self, root: Path) -> DatasetListing:
        """List the views of every subject's folder.

        Raises:
            DataError: no DICOM image is found in the subjects' folders.
        """
        issues: list[DatasetIssue] = []
        records: list[SequenceRecord] = []
        told = {int(entry.partition("=")[0]): entry.partition("=")[2].strip() for entry in self.series}
        for folder in sorted(path for path in root.glob("*") if path.is_dir()):
            series = find_series(root, folder, issues)
            for view, members in _views(folder.name, series, told, issues).items():
                records.extend(_records(root, folder.name, view, members, issues))
        if not records:
            raise DataError(f"{root}: no cine series, expected a folder of DICOM files for each subject")
        return DatasetListing(tuple(records), ("background",), tuple(issues))

    def read(self, root: Path, record: SequenceRecord) -> Pixels:
        """Decode a cine of one plane, moments in the order of their trigger times.

        Raises:
            DataError: a file is unreadable, or the moments differ in size.
        """
        frames, planes = read_moments(root, record.files)
        return Pixels(percentile_window(frames)[:, None], {}, planes)


def _views(
    subject: str, series: Sequence[Series], told: Mapping[int, str], issues: list[DatasetIssue]
) -> dict[str, list[Series]]:
    """Return the series of each view: many planes for the short axis, one for each long-axis view."""
    found: dict[str, list[Series]] = defaultdict(list)
    undecided = []
    for one in series:
        if one.number in told:
            found[told[one.number]].append(one)
        else:
            undecided.append(one)
    found.pop("", None)
    if "SA" not in found:
        stack = _stack([one for one in undecided if _said(one) in (None, "SA")])
        if stack:
            found["SA"] = stack
            undecided = [one for one in undecided if one not in stack]
    axis, middle = _axis(found.get("SA", []))
    for view in VIEWS[1:]:
        claims = [one for one in undecided if _said(one) == view]
        if view in found or not claims:
            continue
        fitting = [one for one in claims if axis is None or view == "RVOT" or abs(one.normal @ axis) <= _ACROSS]
        if middle is not None:
            fitting.sort(key=lambda one: _off(one, middle))
        if fitting:
            found[view] = fitting[:1]
        for one in claims:
            if one not in found.get(view, []):
                text = f"described as {view}, but its plane does not fit as well as another's"
                issues.append(
                    DatasetIssue(one.moments[0].file, f"series {one.number}", "view uncertain", text, "note", "series")
                )
    for one in undecided:
        if _said(one) is None:
            text = "neither its description nor its geometry tells the view; name it by the layout's `series`"
            issues.append(
                DatasetIssue(one.moments[0].file, f"series {one.number}", "view unknown", text, "note", "series")
            )
    if "SA" not in found:
        issues.append(DatasetIssue(subject, "", "view missing", "no stack of parallel short-axis planes"))
    return found


def _said(one: Series) -> str | None:
    text = one.description.lower()
    return next((view for view, pattern in _DESCRIBED.items() if re.search(pattern, text)), None)


def _stack(series: Sequence[Series]) -> list[Series]:
    """Return the largest set of parallel planes in spatial order; empty when there is none of three or more."""
    best: list[Series] = []
    for one in series:
        parallel = [other for other in series if abs(other.normal @ one.normal) >= _PARALLEL]
        if len(parallel) > len(best):
            best = parallel
    if len(best) < _STACK:
        return []
    return sorted(best, key=lambda one: float(one.plane[0] @ best[0].normal))


def _axis(stack: Sequence[Series]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the stack's normal and its mean center; None for both without a stack."""
    if not stack:
        return None, None
    return stack[0].normal, np.mean([one.center for one in stack], axis=0)


def _off(one: Series, middle: np.ndarray) -> float:
    """Return the distance in mm of a plane from a point."""
    return float(abs((middle - one.plane[0]) @ one.normal))


def _records(
    root: Path, subject: str, view: str, series: Sequence[Series], issues: list[DatasetIssue]
) -> Iterator[SequenceRecord]:
    """Yield the sequences of a view; a series that holds several planes has a number for each."""
    planes = Counter(one.number for one in series)
    seen: Counter[int] = Counter()
    for one in series:
        if one.header.spacing is None:
            text = "the header gives no pixel spacing"
            issues.append(DatasetIssue(one.moments[0].file, "", "spacing missing", text))
        seen[one.number] += 1
        plane = f"_{seen[one.number]}" if planes[one.number] > 1 else ""
        yield SequenceRecord(
            subject=subject,
            sequence=f"{subject}_{view}_{one.number}{plane}",
            view=view,
            frames=len(one.moments),
            spacing=one.header.spacing,
            files=one.files,
        )
