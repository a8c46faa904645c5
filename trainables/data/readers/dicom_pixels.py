"""Pixels of DICOM images as frames of gray values or colors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import encaps, uid
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut

from trainables.common.errors import DataError
from trainables.data.readers.colors import Channels, ColorCount, is_colored, luma
from trainables.data.readers.dicom_file import (
    find_numbers,
    frame_groups,
    one_line,
    open_dicom,
    read_count,
)
from trainables.data.readers.limits import require_size
from trainables.data.readers.native_messages import native_messages

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_CODESTREAMS = (b"\xff\xd8", b"\xff\x4f", b"\x00\x00\x00\x0cjP")  # first bytes of JPEG and JPEG-LS, JPEG 2000, JP2
_PILLOW = {uid.JPEGBaseline8Bit, uid.JPEG2000, uid.JPEG2000Lossless}
"""Syntaxes that Pillow decodes first, so that lossy pixels do not depend on which other decoders are installed."""
_GDCM = {uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEGLSNearLossless}
"""Syntaxes that only GDCM decodes where it is installed: others return damaged pixels without an error."""
_PACKAGES = {
    uid.HTJ2K: ("pylibjpeg", "pylibjpeg-openjpeg"),
    uid.HTJ2KLossless: ("pylibjpeg", "pylibjpeg-openjpeg"),
    uid.HTJ2KLosslessRPCL: ("pylibjpeg", "pylibjpeg-openjpeg"),
    uid.JPEGExtended12Bit: ("pylibjpeg", "pylibjpeg-libjpeg"),
}
"""Plug-in of pydicom and its package, where GDCM does not decode a syntax."""
_GPL = {"pylibjpeg-libjpeg"}  # and therefore no part of the extra
_EXTRA = "pip install 'pretext-study[dicom]'"
_LOSSY = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless}


def read_dicom_frames(
    path: Path, *, labels: bool = False, channels: Channels = "grey", colors: ColorCount | None = None
) -> np.ndarray:
    """Return an image file's frames `(T, H, W)`, white on black, or those of a color image `(T, H, W, 3)`.

    MONOCHROME1 is inverted within the range of its stored bits, so that files of one series agree.

    Args:
        path: the file.
        labels: True for a mask: its numbers are not inverted, and padding is 0.
        channels: "grey" turns colors gray; "rgb" returns those of a color image.
        colors: counter of the frames in color that are turned gray; None does not look at their colors.

    Returns:
        uint8 where the pixels are 256 gray levels or a color of 8 bits; else float32 in the unit of the
        header's rescale slope and intercept, each frame by its own, with NaN for padding.

    Raises:
        NotAnImageError: the file holds another object than an image.
        DataError: the file is missing, damaged, too large to decode, of a compression without an installed decoder, has
            values that are not finite, or is a mask in lossy compression.
    """
    dataset = open_dicom(path, pixels=True)
    try:
        if labels:
            _require_lossless(path, dataset)
        pixels = _decode(path, dataset)
        kind = str(dataset.get("PhotometricInterpretation", "")).strip().upper()
        if kind == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, dataset)
            pixels = pixels >> 8 * (pixels.itemsize - 1)  # 16-bit palettes fill their range
        if kind == "PALETTE COLOR" or read_count(dataset, "SamplesPerPixel") == 3:
            shown = (pixels if pixels.ndim == 4 else pixels[None])[..., :3]
            if colors is not None:
                for frame in shown:
                    colors.add(colored=is_colored(frame))
            gray = _displayed(shown.astype(np.float32) if channels == "rgb" else luma(shown))
        else:
            frames = pixels if pixels.ndim == 3 else pixels[None]
            gray = _rescaled(path, dataset, frames, inverted=kind == "MONOCHROME1" and not labels)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path}: pixels cannot be decoded ({one_line(error)})") from None
    return np.nan_to_num(gray) if labels else gray


def count_frames(path: Path, dataset: Any) -> int:
    """Return the number of frames of an image, from 1 up; where NumberOfFrames is missing, from the pixels' length.

    Args:
        path: the file that `dataset` was read from.
        dataset: its header, with or without the pixels; without them the file is read again where that is needed.
    """
    declared = max(1, read_count(dataset, "NumberOfFrames"))
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        return declared if declared > 1 else max(1, _count_codestreams(_with_pixels(path, dataset)))
    size = _frame_bytes(dataset)
    if not size or (not syntax.is_deflated and _ends_with_pixels(path, declared * size, (declared + 1) * size)):
        return declared
    full = _with_pixels(path, dataset)
    return max(declared, max((len(full[name].value or b"") for name in _PIXELS if name in full), default=0) // size)


def _with_pixels(path: Path, dataset: Any) -> Any:
    return dataset if any(name in dataset for name in _PIXELS) else open_dicom(path, pixels=True)


def _ends_with_pixels(path: Path, size: int, larger: int) -> bool:
    """Return True where a file is smaller than `larger`, or ends with little-endian pixels of exactly `size` bytes.

    It saves reading the pixels of a file whose other entries are as large as a frame.
    """
    size += size % 2
    total = path.stat().st_size
    if total < larger:
        return True
    with path.open("rb") as file:
        file.seek(max(0, total - size - 12))
        entry = file.read(12)
    tag, length = b"\xe0\x7f\x10\x00", size.to_bytes(4, "little")
    return entry[8:] == length and (entry[4:8] == tag or (entry[:4] == tag and entry[6:8] == b"\0\0"))


def _frame_bytes(dataset: Any) -> int:
    """Return the size of an uncompressed frame, 0 where the header does not give it."""
    values = read_count(dataset, "Rows") * read_count(dataset, "Columns") * read_count(dataset, "SamplesPerPixel")
    if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
        values = values // 3 * 2
    return values * read_count(dataset, "BitsAllocated") // 8


def _count_codestreams(dataset: Any) -> int:
    """Return the number of fragments that begin a compressed frame."""
    if "PixelData" not in dataset:
        return 0
    fragments = encaps.generate_fragments(dataset.PixelData)
    next(fragments, None)  # the table of offsets
    if dataset.file_meta.TransferSyntaxUID == uid.RLELossless:
        return sum(1 for _ in fragments)
    return sum(fragment.startswith(_CODESTREAMS) for fragment in fragments)


def _require_lossless(path: Path, dataset: Any) -> None:
    """Refuse a mask whose numbers a lossy compression may have changed, now or before it was stored as it is.

    Segmentation objects say of the images that they were drawn on, too, that these were compressed.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    once = str(dataset.get("LossyImageCompression", "")) == "01"
    exact = not syntax.is_compressed or "Lossless" in syntax.name
    drawn = "Segmentation" in uid.UID(str(dataset.get("SOPClassUID", ""))).name
    if syntax in _LOSSY or (once and not (drawn and exact)):
        found = syntax.name if syntax.is_compressed else "LossyImageCompression 01"
        text = f"a mask in lossy compression (found {found}, expected exact label numbers)"
        raise DataError(
            f"{path}: {text}. Fix: store it without losses, and clear that entry of a header that was copied"
        )


def _decode(path: Path, dataset: Any) -> np.ndarray:
    """Return the stored numbers, or RGB; `(H, W)` or `(T, H, W)`, with the colors as a last axis."""
    frames = count_frames(path, dataset)
    samples = max(1, read_count(dataset, "SamplesPerPixel"))
    shape = (frames, read_count(dataset, "Rows"), read_count(dataset, "Columns"), samples)
    require_size(path, shape, np.float32)
    dataset.NumberOfFrames = frames
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise DataError(f"{path}: unsupported compression (found {syntax.name})") from None
    if not decoder.is_available:
        raise DataError(_no_decoder(path, decoder))
    if syntax in _PILLOW:
        try:
            return _decoded(decoder, dataset, "pillow")
        except Exception:  # the other decoders take more kinds of pixels than Pillow does
            pass
    try:
        return _decoded(decoder, dataset, "gdcm" if syntax in _GDCM and "gdcm" in decoder.available_plugins else "")
    except Exception as error:
        if _missing(decoder):
            raise DataError(f"{_no_decoder(path, decoder)} ({one_line(error)})") from None
        raise


def _decoded(decoder: Any, dataset: Any, plugin: str) -> np.ndarray:
    """Return what a plug-in decodes; "" tries every installed one."""
    with native_messages():
        return np.asarray(decoder.as_array(dataset, decoding_plugin=plugin)[0])


def _missing(decoder: Any) -> str:
    """Return the package that decodes all kinds of a syntax's pixels and is not installed, or ""."""
    if not decoder.UID.is_encapsulated:
        return ""
    plugin, package = _PACKAGES.get(decoder.UID, ("gdcm", "python-gdcm"))
    return "" if {plugin, "pydicom"} & {*decoder.available_plugins} else package


def _no_decoder(path: Path, decoder: Any) -> str:
    """Return the message that names the missing package."""
    package = _missing(decoder)
    fix = f"pip install pylibjpeg {package} (GPL 3), or decompress the file" if package in _GPL else _EXTRA
    return f"{path}: no decoder for {decoder.UID.name} is installed (expected {package}). Fix: {fix}"


def _displayed(values: np.ndarray) -> np.ndarray:
    """Return the values of colors as uint8 where they have 8 bits."""
    return np.rint(values).astype(np.uint8) if values.max() <= 255 else values


def _rescaled(path: Path, dataset: Any, stored: np.ndarray, *, inverted: bool) -> np.ndarray:
    padding = _padding(dataset, stored)
    if inverted:
        stored = _inverted(dataset, stored)
    scales = [_scale(dataset, frame) for frame in range(len(stored))]
    if set(scales) == {(1.0, 0.0)} and _is_display(dataset, stored):
        return np.asarray(np.where(padding, 0, stored), np.uint8)
    slopes, intercepts = np.array(scales, np.float32).T[..., None, None]
    values: np.ndarray = stored.astype(np.float32) * slopes + intercepts
    if not np.isfinite(values).all():
        raise DataError(f"{path}: pixel values that are not finite")
    values[padding] = np.nan
    return values


def _padding(dataset: Any, stored: np.ndarray) -> np.ndarray:
    """Return True for the pixels that the header declares to be padding outside the image."""
    limits = [dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")]
    known = [limit for limit in limits if isinstance(limit, int)]
    if not known or stored.dtype.kind not in "iu":
        return np.zeros(stored.shape, bool)
    ends = np.array(known, np.int64).astype(stored.dtype)  # a negative number may be written as an unsigned one
    return np.asarray((stored >= ends.min()) & (stored <= ends.max()))


def _inverted(dataset: Any, stored: np.ndarray) -> np.ndarray:
    """Return stored numbers mirrored within the range of their bits; floats, which have none, about zero."""
    if stored.dtype.kind == "f":
        return np.asarray(-stored)
    bits, signed = read_count(dataset, "BitsStored"), read_count(dataset, "PixelRepresentation") == 1
    return np.asarray((-1 if signed else (1 << bits) - 1) - stored.astype(np.int64))


def _scale(dataset: Any, frame: int) -> tuple[float, float]:
    """Return (slope, intercept) of a frame."""
    groups = frame_groups(dataset, frame)
    slope, intercept = find_numbers(groups, "RescaleSlope", 1), find_numbers(groups, "RescaleIntercept", 1)
    return (slope[0] if slope else 1.0), (intercept[0] if intercept else 0.0)


def _is_display(dataset: Any, stored: np.ndarray) -> bool:
    """Return True where the stored numbers are 256 gray levels."""
    return 0 < read_count(dataset, "BitsStored") <= 8 and stored.min() >= 0 and stored.max() <= 255
