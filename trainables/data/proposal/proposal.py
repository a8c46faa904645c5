"""Proposal of `manifest.csv` and `classes.csv` for a folder, from the names and contents of its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainables.common.errors import DataError
from trainables.data.proposal.file_names import FileName
from trainables.data.proposal.folder_files import find_files
from trainables.data.proposal.labelling import Labelling, propose_labelling
from trainables.data.proposal.legend_file import read_legend_file
from trainables.data.proposal.mask_content import MaskContent, MaskContents, image_shape
from trainables.data.proposal.pairing import PairedImage, pair_masks
from trainables.data.proposal.rows import ManifestRow, manifest_rows
from trainables.data.proposal.subjects import Subjects, propose_subjects, subjects_by_pattern
from trainables.data.readers.limits import MAX_GIGABYTES
from trainables.data.readers.pictures import FILE_TYPES, is_dicom
from trainables.data.records import Progress


@dataclass(frozen=True)
class ManifestProposal:
    """A manifest for a folder, with what it rests on.

    Attributes:
        rows: rows of the manifest.
        labelling: meaning of the masks.
        subjects: subject of each image, and the rule.
        images: number of image files.
        masks: number of mask files that the rows name.
        left_out: files that no row names, each with the reason.
        problems: masks that cannot be used, each with the reason; rows name them, and a study counts them as losses.
        notes: assumptions that a user should know, each a sentence.
    """

    rows: tuple[ManifestRow, ...]
    labelling: Labelling
    subjects: Subjects
    images: int
    masks: int
    left_out: tuple[tuple[str, str], ...]
    problems: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def propose_manifest(
    root: Path,
    *,
    subject_pattern: str | None = None,
    mask_pattern: str | None = None,
    max_gigabytes: float = MAX_GIGABYTES,
    progress: Progress | None = None,
) -> ManifestProposal:
    """Propose a manifest for a folder.

    Args:
        root: the folder; links are followed.
        subject_pattern: regular expression that finds the subject in an image's path; None proposes one.
        mask_pattern: regular expression that finds masks' paths; None tells masks by names and contents.
        max_gigabytes: largest size of one decoded file.
        progress: callback after each mask that was read; None for none.

    Raises:
        DataError: the folder has no image, or masks that cannot be told apart from images or from each other.
        UserError: a pattern is no regular expression, or does not match what it should.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    legend = read_legend_file(root)
    reader = MaskContents(root, max_gigabytes)
    files = find_files(root, legend, reader, mask_pattern)
    images, masks, left_out = files.images, files.masks, files.left_out
    if not images:
        found = f"{len(masks)} masks" if masks else "no image file"
        raise DataError(f"{root}: {found}, expected images ({', '.join(FILE_TYPES)})")
    subjects = subjects_by_pattern(images, subject_pattern) if subject_pattern else None
    paired, unpaired = pair_masks(images, masks)
    left_out += [(mask.path, f"mask without an image: {reason}") for mask, reason in unpaired]
    if masks and len(unpaired) == len(masks):
        found = f"found {masks[0].path}: {unpaired[0][1]}"
        raise DataError(f"{root}: no mask has an image of its name ({found}){_series_hint(images)}")
    contents, problems = _contents(reader, paired, progress)
    if problems and not contents:
        fix = "Fix: correct the files, then run the command again"
        raise DataError(f"{root}: no mask can be used (found {problems[0][0]}: {problems[0][1]}). {fix}")
    labelling = propose_labelling(paired, contents, legend)
    subjects = subjects or propose_subjects(images)
    rows, notes = manifest_rows(paired, labelling, subjects, legend.channels)
    return ManifestProposal(
        tuple(rows),
        labelling,
        subjects,
        len(images),
        len({file for row in rows for files in row.masks.values() for file in files}),
        tuple(left_out),
        tuple(problems),
        (*files.notes, *subjects.notes, *labelling.notes, *notes, *_unlabelled(paired)),
    )


def _unlabelled(images: Sequence[PairedImage]) -> list[str]:
    """Return a note on images without a mask, unless none has one."""
    count = sum(not image.masks for image in images)
    if not count or count == len(images):
        return []
    return [f"{count} of {len(images)} images have no mask and are used for pretraining only"]


def _contents(
    reader: MaskContents, images: Sequence[PairedImage], progress: Progress | None
) -> tuple[dict[str, MaskContent], list[tuple[str, str]]]:
    """Return the contents of the masks that can be used, and the other masks with the reasons."""
    problems: dict[str, str] = {}
    contents: dict[str, MaskContent] = {}
    total, done = sum(len(image.masks) for image in images), 0
    for image in images:
        expected = image_shape(reader.root, image.file.path, reader.max_gigabytes) if image.masks else None
        for path in (mask.file.path for mask in image.masks):
            if path not in contents and path not in problems:
                content = reader.read(path)
                problem = content.problem or _size_problem(content.shape, expected)
                if problem:
                    problems[path] = problem
                else:
                    contents[path] = content
            done += 1
            if progress is not None:
                progress("masks", done, total)
    return contents, list(problems.items())


def _size_problem(found: tuple[int, int] | None, expected: tuple[int, int] | None) -> str:
    if found is None or expected is None or found == expected:
        return ""
    sizes = (f"{rows} x {columns}" for rows, columns in (found, expected))
    return "mask and image differ in size (found {}, expected {})".format(*sizes)


def _series_hint(images: Sequence[FileName]) -> str:
    """Return what to do about volumes of one DICOM file for each slice; "" where no folder holds several."""
    folders = Counter(PurePosixPath(image.path).parent for image in images if is_dicom(image.path))
    folder, files = max(folders.items(), key=lambda item: item[1], default=(PurePosixPath(), 0))
    if files < 2:
        return ""
    volume = f"{folder}.nii.gz" if folder.name else "one"
    return (
        f". A manifest cannot list a volume of several DICOM files ({files} in {folder}). "
        f"Fix: convert each series to one file, such as {volume}, for instance with dcm2niix"
    )
