"""Pairs of images and masks by the words of their names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from trainables.data.proposal.file_names import FileName
from trainables.data.readers.flat_pictures import FLAT
from trainables.data.readers.pictures import file_type

_MOST_EXTRA = 4  # words of a mask's name beyond its image's: a structure, a number
_FRAME_WORDS = frozenset(("frame", "slice", "time", "t", "z", "f", "no", "nr"))


@dataclass(frozen=True)
class PairedMask:
    """A mask file of an image.

    Attributes:
        file: the mask's file.
        structure: words of its name that its image's lacks, joined by "_", or "".
        frame: frame of a longer file that it belongs to, or None.
    """

    file: FileName
    structure: str = ""
    frame: int | None = None


@dataclass
class PairedImage:
    """An image file with its masks.

    Attributes:
        file: the image's file.
        masks: its masks.
        view: words of its name that its masks' lack ("t2"), joined by "_", or "".
    """

    file: FileName
    masks: list[PairedMask] = field(default_factory=list)
    view: str = ""

    @property
    def single(self) -> bool:
        """True for an image file that holds a single frame, by its type."""
        return file_type(self.file.path) in FLAT


def pair_masks(
    images: Iterable[FileName], masks: Iterable[FileName]
) -> tuple[list[PairedImage], list[tuple[FileName, str]]]:
    """Assign each mask to the image whose name it continues, or to images that continue its own name.

    Returns:
        The images in their order, and the masks that no image or no single image was found for, each with the reason.
    """
    index = _Index([PairedImage(file) for file in images])
    unpaired = []
    for mask in masks:
        found, reason = index.images_of(mask)
        for image, paired in found:
            image.masks.append(paired)
        if not found:
            unpaired.append((mask, reason))
    return index.images, unpaired


class _Index:
    """Images by their words, and by the first ones of them."""

    def __init__(self, images: list[PairedImage]) -> None:
        self.images = images
        self._exact: dict[tuple[str, ...], list[PairedImage]] = defaultdict(list)
        self._stems: dict[tuple[str, ...], list[PairedImage]] = defaultdict(list)
        self._longer: dict[tuple[str, ...], list[PairedImage]] = defaultdict(list)
        for image in images:
            words = image.file.words
            self._exact[words].append(image)
            self._stems[image.file.stem_words].append(image)
            for length in range(1, len(words)):
                self._longer[words[:length]].append(image)

    def images_of(self, mask: FileName) -> tuple[list[tuple[PairedImage, PairedMask]], str]:
        """Return the images of a mask, and the reason where there is none."""
        found, reason = self._continued(mask, mask.words, self._exact)
        if found or reason:
            return found, reason
        longer = [
            image
            for image in _same_split(self._longer.get(mask.words, []), mask)
            if not all(word.isdigit() for word in image.file.words[len(mask.words) :])
        ]
        for image in longer:
            image.view = "_".join(image.file.words[len(mask.words) :])
        if longer:
            return [(image, PairedMask(mask)) for image in longer], ""
        found, reason = self._continued(mask, mask.stem_words, self._stems)  # folders of any other names
        return found, "" if found else reason or "no image of this name"

    def _continued(
        self, mask: FileName, words: tuple[str, ...], index: Mapping[tuple[str, ...], list[PairedImage]]
    ) -> tuple[list[tuple[PairedImage, PairedMask]], str]:
        """Return the images whose words a mask's words continue; none, with a reason, where several are meant."""
        for extra, rest in _shortened(words):
            found = _same_split(index.get(rest, []), mask)
            found = [image for image in found if image.file.stem == mask.stem] or found
            paired = [(image, each) for image in found if (each := _paired(mask, image, extra)) is not None]
            if not paired:
                continue
            if len({image.file.channel for image in found}) == len(found):
                for image in found:
                    image.view = "" if image.file.channel is None else f"{image.file.channel:04d}"
                return paired, ""
            return [], f"several images may be meant: {', '.join(image.file.path for image in found[:3])}"
        return [], ""


def _shortened(words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield (words left out, other words): nothing first, then ever longer runs of words, the last ones first."""
    yield (), words
    for count in range(1, min(_MOST_EXTRA, len(words) - 1) + 1):
        for start in range(len(words) - count, -1, -1):
            yield words[start : start + count], words[:start] + words[start + count :]


def _same_split(images: Sequence[PairedImage], mask: FileName) -> list[PairedImage]:
    same = [image for image in images if image.file.split == mask.split]
    return same or [image for image in images if None in (image.file.split, mask.split)]


def _paired(mask: FileName, image: PairedImage, extra: Sequence[str]) -> PairedMask | None:
    """Return the mask with the meaning of its name's extra words; None where they name another single image."""
    numbers = [word for word in extra if word.isdigit()]
    structure = "_".join(word for word in extra if not word.isdigit() and word not in _FRAME_WORDS)
    if not numbers or (mask.number and image.single):
        return PairedMask(mask, structure)
    if image.single:
        return PairedMask(mask, "_".join(extra)) if structure else None
    return PairedMask(mask, structure, int(numbers[-1]))
