"""Fuzzing of the readers, as a program: `python fuzz.py FOLDER SECONDS SEED KIND ...`, seconds for each kind.

It mutates the files of a small dataset of each kind (a suffix, or a layout with tables), checks the dataset after each
mutation, and exits with 1 and a traceback at the first exception that is no `DataError`. Its address space is limited
to 1 GB above what its libraries need.
"""

from __future__ import annotations

import faulthandler
import itertools
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import av
import cv2
import nibabel as nib
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from trainables.common.errors import DataError
from trainables.data.layouts.decathlon import Decathlon
from trainables.data.layouts.echonet import EchoNetDynamic
from trainables.data.layouts.manifest import Manifest
from trainables.data.readers.metaimage_writer import write_metaimage
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.phantom import PhantomSettings, write_echonet
from trainables.phantom.writers.decathlon import write_prostate

HEADROOM = 10**9
LONGEST = 20
"""Seconds after which a mutation counts as a hang."""

SPLITS = ("train", "val", "test")
EXTREMES = (0, 1, -1, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, -(2**31), 2**32 - 1, 0x7FC00000)


class Hang(BaseException):
    """Error: a mutation took too long; no `Exception`, so that no reader catches it."""


def frames() -> np.ndarray:
    """Return three frames `(3, 24, 32)` with structure."""
    rows, columns = np.indices((24, 32))
    return np.stack([(rows * 5 + columns * (3 + n)) % 200 + 20 for n in range(3)]).astype(np.uint8)


def labels() -> np.ndarray:
    """Return the masks of the frames."""
    masks = np.zeros((3, 24, 32), np.uint8)
    masks[:, 6:15, 8:20] = 1
    return masks


def picture(path: Path, array: np.ndarray) -> None:
    """Write the first frame as a picture."""
    cv2.imwrite(str(path), array[0])


def nifti(path: Path, array: np.ndarray) -> None:
    """Write the frames as slices of a volume."""
    nib.save(nib.Nifti1Image(array.T.copy(), np.diag([-1.5, -1.5, 8, 1])), path)


def metaimage(path: Path, array: np.ndarray) -> None:
    """Write the frames as slices of a volume, compressed where the pixels are in the header's file."""
    write_metaimage(path, array.T.copy(), (1.5, 1.5, 8.0), compress=path.suffix == ".mha")


def dicom(path: Path, array: np.ndarray) -> None:
    """Write the frames as a cine."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    dataset.PatientID, dataset.SeriesInstanceUID, dataset.InstanceNumber = "p", "1.2", 1
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = *array.shape[1:], len(array)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelSpacing = [1.5, 1.5]
    dataset.PixelData = array.tobytes()
    pydicom.dcmwrite(path, dataset)


def video(path: Path, array: np.ndarray) -> None:
    """Write the frames as a video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg" if path.suffix == ".avi" else "mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuvj420p" if path.suffix == ".avi" else "yuv420p"
        for image in array:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "gray").reformat(format=stream.pix_fmt)))
        container.mux(stream.encode())


def webp(path: Path, array: np.ndarray) -> None:
    """Write the first frame without losses, so that it can be a mask."""
    cv2.imwrite(str(path), array[0], [cv2.IMWRITE_WEBP_QUALITY, 101])


def npy(path: Path, array: np.ndarray) -> None:
    """Write the frames as an array, compressed where the suffix says so."""
    (np.savez_compressed if path.suffix == ".npz" else np.save)(path, array.transpose(1, 2, 0).astype(np.int16))


def hdf5(path: Path, array: np.ndarray) -> None:
    """Write the frames as a compressed array in a group."""
    import h5py

    with h5py.File(path, "w") as file:
        values = array.transpose(1, 2, 0).astype(np.int16)
        file.create_dataset("group/values", data=values, chunks=(8, 8, 3), compression="gzip", fletcher32=True)


WRITERS: Mapping[str, Callable[[Path, np.ndarray], None]] = {
    **dict.fromkeys((".png", ".jpg", ".bmp", ".tiff"), picture),
    **dict.fromkeys((".nii", ".nii.gz"), nifti),
    **dict.fromkeys((".mha", ".mhd"), metaimage),
    ".dcm": dicom,
    **dict.fromkeys((".avi", ".mp4"), video),
    ".webp": webp,
    **dict.fromkeys((".npy", ".npz"), npy),
    ".h5": hdf5,
}


def dataset(folder: Path, kind: str) -> tuple[DataSettings, list[Path]]:
    """Write a dataset of three subjects; return its settings and the files to mutate."""
    phantom = PhantomSettings(subjects=3, frames=8, size=32, fractions=(1, 1, 1))
    if kind == "echonet":
        write_echonet(folder, phantom)
        return DataSettings(layout=EchoNetDynamic(), image_size=16), sorted(folder.glob("*.csv"))
    if kind == "decathlon":
        write_prostate(folder, phantom)
        return DataSettings(layout=Decathlon(), image_size=16), [folder / "dataset.json"]
    suffix = ".png" if kind == ".csv" else kind
    masks = suffix if suffix not in (".jpg", ".avi", ".mp4") else ".png"
    frame = "0" if suffix in (".avi", ".mp4") else ""
    rows = ["subject,split,image,mask,frame,view,row_mm,column_mm"]
    for number, split in enumerate(SPLITS):
        WRITERS[suffix](folder / f"{number}{suffix}", frames())
        WRITERS[masks](folder / f"{number}m{masks}", labels())
        rows.append(f"p{number},{split},{number}{suffix},{number}m{masks},{frame},4CH,1.5,1.5")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "classes.csv").write_text("value,name\n0,background\n1,lv\n")
    settings = DataSettings(layout=Manifest(slice_axis=2 if kind in (".npy", ".npz", ".h5") else None), image_size=16)
    if kind == ".csv":
        return settings, [folder / "manifest.csv", folder / "classes.csv"]
    return settings, sorted(path for path in folder.glob("0*") if path.suffix != ".png" or suffix == ".png")


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the bytes with one to four changes, half of them in the first 512 bytes, where headers are."""
    content = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        end = min(len(content), 512) if rng.random() < 0.5 else len(content)
        place = int(rng.integers(0, max(end, 1)))
        action = rng.integers(0, 7)
        if action == 0 and content:
            content[place % len(content)] ^= 1 << int(rng.integers(0, 8))
        elif action == 1 and content:
            content[place % len(content)] = int(rng.integers(0, 256))
        elif action == 2:
            size = int(rng.choice([1, 2, 4, 8]))
            value = int(rng.choice(EXTREMES)) & (256**size - 1)
            content[place : place + size] = value.to_bytes(size, "big" if rng.random() < 0.5 else "little")
        elif action == 3:
            del content[place : place + int(rng.integers(1, 64))]
        elif action == 4:
            content[place:place] = content[place : place + int(rng.integers(1, 64))]
        elif action == 5:
            content[place:place] = rng.bytes(int(rng.integers(1, 16)))
        elif rng.random() < 0.2:
            del content[place:]
        else:
            content[place:place] = str(rng.choice(EXTREMES)).encode()
    return bytes(content)


def hang(*_: object) -> None:
    """Raise the error of a mutation that takes too long."""
    raise Hang


def limit_memory() -> None:
    """Limit the address space to what is in use and `HEADROOM` above it."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + HEADROOM, resource.RLIM_INFINITY))


def fuzz(folder: Path, kind: str, seconds: float, seed: int) -> bool:
    """Mutate the files of one kind until the time is up; return False at the first failure."""
    settings, targets = dataset(folder, kind)
    report = check(settings, folder)
    assert not report.refusal, report.refusal
    limit_memory()
    originals = {target: target.read_bytes() for target in targets}
    started, refused, number = time.monotonic(), 0, 0
    for number in itertools.count():
        if time.monotonic() - started > seconds:
            break
        rng = np.random.default_rng([seed, number])
        target = targets[int(rng.integers(len(targets)))]
        target.write_bytes(mutated(originals[target], rng))
        signal.alarm(LONGEST)
        try:
            refused += bool(check(settings, folder).refusal)
        except DataError:
            refused += 1
        except BaseException:
            print(f"{kind}: mutation {number} of seed {seed} in {target.name}", file=sys.stderr)
            traceback.print_exc()
            return False
        finally:
            signal.alarm(0)
        target.write_bytes(originals[target])
    print(f"{kind} {number} mutations, {refused} refused", flush=True)
    return True


def main() -> int:
    """Fuzz the given kinds one after the other; return 1 at the first failure."""
    folder, seconds, seed, *kinds = sys.argv[1:]
    faulthandler.enable()
    signal.signal(signal.SIGALRM, hang)
    for kind in kinds:
        place = Path(folder) / kind.strip(".")
        place.mkdir()
        print(f"{kind} begins", file=sys.stderr, flush=True)
        if not fuzz(place, kind, float(seconds), int(seed)):
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
