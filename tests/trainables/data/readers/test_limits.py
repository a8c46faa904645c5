"""No file is decoded that would take more memory than `max_gigabytes`; what is asked for is known from its header."""

import struct
import zlib
from pathlib import Path

import av
import cv2
import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from trainables.common.errors import DataError
from trainables.data.readers.limits import size_limit
from trainables.data.readers.metaimage_writer import write_metaimage
from trainables.data.readers.pictures import read_picture

VOLUME = np.zeros((100, 100, 20), np.int16)  # 400 kB


def write(path: Path) -> None:
    """Write a file whose decoded values take between 200 and 800 kB."""
    if path.suffix in (".mhd", ".mha"):
        write_metaimage(path, VOLUME, (1.0, 1.0, 1.0), compress=path.suffix == ".mha")
    elif path.name.endswith((".nii", ".nii.gz")):
        nib.save(nib.Nifti1Image(VOLUME, np.eye(4)), path)
    elif path.suffix == ".dcm":
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
        dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 100, 100, 20
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation = 7, 0
        dataset.PixelData = bytes(200_000)
        pydicom.dcmwrite(path, dataset)
    elif path.suffix in (".avi", ".mp4"):
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mjpeg" if path.suffix == ".avi" else "mpeg4", rate=30)
            stream.width, stream.height = 100, 100
            stream.pix_fmt = "yuvj420p" if path.suffix == ".avi" else "yuv420p"
            for _ in range(20):
                frame = av.VideoFrame.from_ndarray(np.zeros((100, 100), np.uint8), "gray")
                container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
            container.mux(stream.encode())
    elif path.suffix in (".npy", ".npz"):
        (np.savez_compressed if path.suffix == ".npz" else np.save)(path, VOLUME)
    else:
        side = 300 if path.suffix == ".webp" else 500  # WebP has three samples a pixel
        cv2.imwrite(str(path), np.zeros((side, side), np.uint8))


@pytest.mark.parametrize(
    "suffix",
    ["png", "jpg", "bmp", "tiff", "webp", "nii", "nii.gz", "mhd", "mha", "npy", "npz", "dcm", "avi", "mp4"],
)
def test_every_format_is_measured_before_it_is_decoded(tmp_path, suffix):
    name = f"a.{suffix}"
    write(tmp_path / name)
    with size_limit(8.5e-4):
        assert read_picture(tmp_path / name).images.size >= 90_000
    with size_limit(1.5e-4), pytest.raises(DataError, match=rf"{name}: too large to decode .* raise `max_gigabytes`"):
        read_picture(tmp_path / name)


def test_a_small_file_that_announces_a_huge_picture_is_refused_and_not_decoded(tmp_path):
    """Announce 65,000 x 65,000 pixels of 16 bits, 8.5 GB, in a PNG file of less than a kilobyte."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 65_000, 65_000, 16, 0, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b""))
    with pytest.raises(DataError, match=r"bomb\.png: too large to decode \(found 8\.45 GB: 65000 x 65000"):
        read_picture(path)


def test_a_header_that_lies_about_a_small_volume_asks_for_no_memory(tmp_path):
    path = tmp_path / "lie.nii"
    nib.save(nib.Nifti1Image(np.zeros((10, 10, 10), np.int16), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[40:56] = struct.pack("<8h", 3, 30_000, 30_000, 30_000, 1, 1, 1, 1)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"lie\.nii: too large to decode"):
        read_picture(path)
