"""Prediction of many images: decoded ahead, segmented in batches across files, written by threads, resumable."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.common.errors import UserError
from trainables.data.readers.native_messages import DESCRIPTOR
from trainables.data.readers.pictures import is_video
from trainables.prediction.containers import replacing, suffix_of, write_values
from trainables.prediction.decoding import DecodedImage
from trainables.prediction.ensemble import Ensemble, Scores
from trainables.prediction.measures import measure
from trainables.prediction.overlay import overlay_suffix, write_overlay
from trainables.prediction.preprocessing import Preprocessing
from trainables.prediction.reading import FailedImage, decoded_ahead
from trainables.prediction.restoring import largest, restore, restored_masks
from trainables.prediction.results import Outputs, ResultFolder
from trainables.prediction.segmentation_object import is_dicom_image, write_segmentation
from trainables.prediction.sources import ImageSource

WRITERS = 2
"""Threads that resample, measure and write."""

_PENDING = 8  # batches that may wait for those threads
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

Advance = Callable[[int, int, int], None]
"""Callback with (images done, images in total, frames segmented)."""


@dataclass(frozen=True)
class Prediction:
    """Outcome of a prediction.

    Attributes:
        records: record of each image with results, by the name of its source, in the sources' order.
        failed: images without results.
        skipped: number of images whose results were there before.
        frames: number of frames that were segmented.
    """

    records: Mapping[str, Mapping[str, Any]]
    failed: tuple[FailedImage, ...]
    skipped: int
    frames: int


@dataclass(frozen=True)
class Predictor:
    """Prediction of images into a folder.

    Attributes:
        ensemble: the networks.
        preprocessing: their input and output.
        folder: folder of the results.
        outputs: files to write beside the masks.
        apical: the images are apical views of the heart, see `measure`.
        max_gigabytes: largest size in GB of one decoded file.
    """

    ensemble: Ensemble
    preprocessing: Preprocessing
    folder: ResultFolder
    outputs: Outputs = field(default_factory=Outputs)
    apical: bool = False
    max_gigabytes: float = 2.0

    def run(self, sources: Sequence[ImageSource], advance: Advance | None = None) -> Prediction:
        """Segment the images that have no complete results yet; one that cannot be segmented is left out.

        Args:
            sources: the images.
            advance: callback after each image; None for none.
        """
        records = {source.name: self.folder.record(source) for source in sources}
        rest = [source for source in sources if records[source.name] is None]
        failed: list[FailedImage] = []
        skipped, frames = len(sources) - len(rest), 0
        for done, (name, outcome, count) in enumerate(self._outcomes(rest), skipped + 1):
            frames += count
            if isinstance(outcome, FailedImage):
                failed.append(outcome)
            else:
                records[name] = outcome
            if advance is not None:
                with DESCRIPTOR:  # the decoding thread may have redirected standard error
                    advance(done, len(sources), frames)
        known = {name: record for name, record in records.items() if record is not None}
        return Prediction(known, tuple(failed), skipped, frames)

    def _outcomes(self, sources: Sequence[ImageSource]) -> Iterator[tuple[str, dict[str, Any] | FailedImage, int]]:
        """Yield name, record or failure, and number of frames of each image, as they are finished."""
        pool = ThreadPoolExecutor(WRITERS, "write")
        pending: deque[tuple[DecodedImage, Future[dict[str, Any] | FailedImage]]] = deque()
        parts: deque[Future[_Part]] = deque()
        try:
            images = decoded_ahead(sources, self.preprocessing, self.max_gigabytes)
            refused: list[FailedImage] = []
            for batch in self._batches(images, refused):
                while refused:
                    failure = refused.pop()
                    yield failure.name, failure, 0
                scores = self.ensemble(torch.from_numpy(_joined([piece.inputs for piece in batch])))
                first = 0
                for piece in batch:
                    end = first + len(piece.inputs)
                    part = pool.submit(self._restored, piece.image, scores.part(first, end))
                    piece.parts.append(part)
                    parts.append(part)
                    if piece.last:
                        pending.append((piece.image, pool.submit(self._written, piece.image, piece.parts)))
                    first = end
                while len(parts) > _PENDING * len(batch):
                    parts.popleft().exception()
                while pending and pending[0][1].done():
                    image, written = pending.popleft()
                    yield image.source.name, written.result(), len(image.images)
            for failure in refused:
                yield failure.name, failure, 0
            for image, written in pending:
                yield image.source.name, written.result(), len(image.images)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _batches(
        self, images: Iterable[DecodedImage | FailedImage], refused: list[FailedImage]
    ) -> Iterator[list[_Piece]]:
        """Yield batches of frames, across images unless the networks segment sequences; append failures."""
        batch: list[_Piece] = []
        size = 0
        for image in images:
            if isinstance(image, FailedImage):
                refused.append(image)
                continue
            if self.ensemble.temporal:
                if image.stack:
                    text = "slices of a volume, but the network segments sequences of frames over time"
                    refused.append(FailedImage(image.source.name, f"{image.source.path}: {text}"))
                else:
                    yield [_Piece(image, image.inputs, [], last=True)]
                continue
            parts: list[Future[_Part]] = []
            first = 0
            while first < len(image.inputs):
                end = min(len(image.inputs), first + self.ensemble.batch - size)
                batch.append(_Piece(image, image.inputs[first:end], parts, last=end == len(image.inputs)))
                size, first = size + end - first, end
                if size == self.ensemble.batch:
                    yield batch
                    batch, size = [], 0
        if batch:
            yield batch

    @torch.no_grad()
    def _restored(self, image: DecodedImage, scores: Scores) -> _Part:
        """Return the results of some frames in the image's own size, as far as they are written."""
        shape, pixels = image.shape, image.pixels
        masks = restored_masks(scores.scores, pixels, shape)
        maps = {}
        if self.outputs.probabilities:
            maps["probabilities"] = _numpy(restore(scores.probabilities, pixels, shape, outside=0))
        if scores.disagreement is not None:
            maps["disagreement"] = _numpy(restore(scores.disagreement[:, None], pixels, shape)[:, 0])
        small = _numpy(largest(scores.scores)) if self.outputs.network_size else None
        return _Part(_numpy(masks), small, maps)

    def _written(self, image: DecodedImage, parts: Sequence[Future[_Part]]) -> dict[str, Any] | FailedImage:
        """Write an image's files and its record, and return the record, or why there is none."""
        try:
            return self._write(image, [part.result() for part in parts])
        except UserError as error:
            return FailedImage(image.source.name, str(error))
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise
            return FailedImage(image.source.name, f"{image.source.path}: {type(error).__name__}: {error}")

    def _write(self, image: DecodedImage, parts: Sequence[_Part]) -> dict[str, Any]:
        source, masks = image.source, np.concatenate([part.masks for part in parts])
        maps = {name: np.concatenate([part.maps[name] for part in parts]) for name in parts[0].maps}
        files: list[Path] = []

        def file(part: str, source: ImageSource, suffix: str) -> Path:
            files.append(self.folder.path(part, source, suffix))
            return files[-1]

        first = 0
        for each in image.of_files():
            frames = slice(first, first + len(each.images))
            if self.outputs.dicom_seg and is_dicom_image(each):
                path = file("masks", each.source, ".dcm")
                write_segmentation(path, each, masks[frames], self.preprocessing.classes, self.folder.digest(source))
            else:
                write_values(file("masks", each.source, suffix_of(each)), each, masks[frames])
            for name, values in maps.items():
                write_values(file(name, each.source, suffix_of(each, maps=True)), each, values[frames])
            first = frames.stop
        if self.outputs.network_size:
            with replacing(file("network_size", source, ".npy")) as part:
                np.save(part, np.concatenate([each.network_size for each in parts if each.network_size is not None]))
        if self.outputs.overlays or is_video(source.path.name):
            write_overlay(file("overlays", source, overlay_suffix(image)), image, masks)
        measures = measure(image, masks, self.preprocessing.classes, apical=self.apical)
        return self.folder.complete(source, files, measures)


@dataclass(frozen=True, eq=False)
class _Piece:
    """Frames of one image in a batch, and the futures of all its results so far; `last` for its last frames."""

    image: DecodedImage
    inputs: np.ndarray
    parts: list[Future[_Part]]
    last: bool


@dataclass(frozen=True, eq=False)
class _Part:
    """Results of some frames: masks `(n, H, W)`, those at the network's size if asked for, maps `(n, ..., H, W)`."""

    masks: np.ndarray
    network_size: np.ndarray | None
    maps: Mapping[str, np.ndarray]


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(arrays[0]) if len(arrays) == 1 else np.concatenate(arrays)


def _numpy(values: Tensor) -> np.ndarray:
    return np.asarray(values.cpu().numpy())
