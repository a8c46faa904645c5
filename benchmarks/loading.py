"""Data loading: images per second and memory during training, compared with common alternatives.

    python -m benchmarks.loading [--json FILE] [--work FOLDER]

Reads the frames of the same phantom videos as shuffled batches with

- `per-item decode`: a PyTorch dataset that decodes a whole video with OpenCV for each item and takes its two traced
  frames, as the loader published with EchoNet-Dynamic does (only these count as images);
- `CacheDataset`: MONAI's dataset, with all items decoded to floats in memory before timing starts;
- `frame store`: this project's store, opened from disk in a new process, as uint8 batches.

It then measures the memory of an additional process that reads the store, and both figures for a million frames. Files
may be in the operating system's page cache in all three cases.
"""

from __future__ import annotations

import csv
import multiprocessing
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks import results
from trainables.common.files import write_json
from trainables.data.layouts.echonet import FILE_LIST, TRACINGS
from trainables.data.layouts.tracing import fill_polygon
from trainables.data.sampling.batches import Batches
from trainables.data.settings import DataSettings
from trainables.data.store.frames import CLINICAL, IMAGES, INDEX, INDEX_DTYPE, MASKS, META, STORE_VERSION, FrameStore
from trainables.data.store.prepare import prepare
from trainables.phantom import PhantomSettings, write_echonet

BATCH = 32
SIZE = 112
MILLION = 1_000_000
SAMPLE = 20_000  # frames of a store that an epoch reads, spread over all of it


class PerItemDecode(Dataset[tuple[Tensor, Tensor]]):
    """Dataset that decodes a full video for each item and returns two frames `(2, 3, H, W)` and masks `(2, H, W)`."""

    def __init__(self, root: Path) -> None:
        with (root / FILE_LIST).open() as file:
            self.videos = [root / "Videos" / f"{row['FileName']}.avi" for row in csv.DictReader(file)]
        self.traces: dict[str, dict[int, list[list[float]]]] = {}
        with (root / TRACINGS).open() as file:
            for row in csv.DictReader(file):
                ends = [float(row[name]) for name in ("X1", "Y1", "X2", "Y2")]
                frames = self.traces.setdefault(row["FileName"], {})
                frames.setdefault(int(row["Frame"]), []).append(ends)

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        capture, frames = cv2.VideoCapture(str(self.videos[number])), []
        while True:
            ok, picture = capture.read()
            if not ok:
                break
            frames.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        video = np.stack(frames).astype(np.float32).transpose(3, 0, 1, 2)
        video = (video - 30.0) / 50.0
        images, masks = [], []
        for frame, rows in self.traces[self.videos[number].name].items():
            ends = np.array(rows[1:])
            outline = np.concatenate([ends[:, :2], ends[::-1, 2:]])
            images.append(video[:, frame])
            masks.append(fill_polygon(outline, (video.shape[2], video.shape[3])).astype(np.float32))
        return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(masks))


def per_item_decode(root: Path, workers: int) -> float:
    """Return labeled images per second."""
    loader = DataLoader(PerItemDecode(root), batch_size=BATCH // 2, shuffle=True, num_workers=workers)
    started, images = time.perf_counter(), 0
    for batch, _ in loader:
        images += batch.shape[0] * batch.shape[1]
    return images / (time.perf_counter() - started)


def cache_dataset(store: FrameStore, folder: Path, workers: int) -> tuple[float, float]:
    """Return images per second of MONAI's CacheDataset once it is filled, and the MB that its cache takes."""
    from monai.data.dataloader import DataLoader as MonaiLoader
    from monai.data.dataset import CacheDataset
    from monai.transforms.compose import Compose
    from monai.transforms.intensity.dictionary import ScaleIntensityRanged
    from monai.transforms.io.dictionary import LoadImaged
    from monai.transforms.utility.dictionary import EnsureChannelFirstd, EnsureTyped

    for row, image in enumerate(store.images):
        np.save(folder / f"{row}.npy", image[0])
    steps = Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image", channel_dim="no_channel"),
            ScaleIntensityRanged("image", 0, 255, 0, 1),
            EnsureTyped("image"),
        ]
    )
    before = _private()
    items = [{"image": str(folder / f"{row}.npy")} for row in range(len(store))]
    dataset = CacheDataset(items, steps, progress=False)
    cached = _private() - before
    loader = MonaiLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=workers)

    def epoch() -> int:
        return sum(len(batch["image"]) for batch in loader)

    return _rate(epoch), cached


def frame_store(folder: Path) -> dict[str, float]:
    """Return images per second from a store that this process has not opened before, and the MB that it costs.

    `cold` is the first epoch, including opening the store; `warm` are later epochs; `floats` also converts the bytes to
    floats on the CPU, which training does on the device that augments.
    """
    torch.set_num_threads(1)
    before, started = _private(), time.perf_counter()
    store = FrameStore.open(folder)
    batches = Batches(store, np.arange(0, len(store), max(1, len(store) // SAMPLE)), BATCH, seed=0)
    cold = _consume(batches, 0) / (time.perf_counter() - started)
    warm = _rate(lambda: _consume(batches, 1))
    floats = _rate(lambda: _consume(batches, 1, floats=True))
    return {"cold": cold, "warm": warm, "floats": floats, "memory": _private() - before}


def _consume(batches: Batches, epoch: int, *, floats: bool = False) -> int:
    images = 0
    for batch in batches.epoch(epoch):
        images += len(batch.images.float() / 255 if floats else batch.images)
    return images


def in_new_process(folder: Path) -> dict[str, float]:
    """Run `frame_store` in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(frame_store, (folder,))


def million_frames(folder: Path) -> Path:
    """Write a store of a million frames whose pixels are a sparse file; its index and its pages are real."""
    folder.mkdir(parents=True)
    shapes: Sequence[tuple[str, Any, tuple[int, ...]]] = (
        (IMAGES, np.uint8, (MILLION, 1, SIZE, SIZE)),
        (MASKS, np.uint8, (1, SIZE, SIZE)),
    )
    for name, kind, shape in shapes:
        with (folder / name).open("wb") as file:
            header = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + int(np.prod(shape)))
    index = np.zeros(MILLION, INDEX_DTYPE)
    index["mask"], index["sequence"] = -1, np.arange(MILLION) // 100
    index["subject"] = index["sequence"] % 1000
    np.save(folder / INDEX, index)
    np.save(folder / CLINICAL, np.zeros((MILLION // 100, 0)))
    meta: dict[str, Any] = {"version": STORE_VERSION, "clinical": [], "classes": ["background"], "views": ["4CH"]}
    meta |= {"subjects": [str(number) for number in range(1000)], "mean": [0.5], "std": [0.2], "fingerprint": "none"}
    meta |= {"issues": {}, "split_by": "official"}
    write_json(folder / META, meta)
    return folder


def _rate(epoch: Callable[[], int], seconds: float = 2.0) -> float:
    """Return images per second over as many epochs as fill `seconds`."""
    images, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        images += epoch()
    return images / (time.perf_counter() - started)


def _private() -> float:
    """Return the memory in MB that is private to this process, without pages of mapped files."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/smaps_rollup has no line Anonymous")


def measure(work: Path, subjects: int, frames: int) -> dict[str, Any]:
    """Measure every reader and return the figures by name."""
    root = work / "videos"
    write_echonet(root, PhantomSettings(subjects=subjects, frames=frames, size=SIZE))
    started = time.perf_counter()
    store = prepare(DataSettings(image_size=SIZE), root, work / "store", b"benchmark")
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {psutil.cpu_count()} cores",
        "videos": subjects,
        "frames_a_video": frames,
        "frames": len(store),
        "prepare_seconds": time.perf_counter() - started,
    }
    found["per_item_decode"] = {str(workers): per_item_decode(root, workers) for workers in (0, 2)}
    (work / "items").mkdir(exist_ok=True)
    rates = {workers: cache_dataset(store, work / "items", workers) for workers in (0, 2)}
    found["cache_dataset"] = {str(workers): rate for workers, (rate, _) in rates.items()}
    found["cache_dataset_memory_mb"] = rates[0][1]
    found["frame_store"] = in_new_process(store.folder)
    found["frame_store_million"] = in_new_process(million_frames(work / "million"))
    return found


def table(found: dict[str, Any]) -> str:
    """Format the figures as a text table."""
    ours = found["frame_store"]
    shape = f"{found['frames']:,} stored frames of {found['videos']} videos with {found['frames_a_video']} frames each"
    lines = [f"{shape}, {SIZE}x{SIZE}, batches of {BATCH}; {found['machine']}"]
    lines.append(f"{'reader':<40}{'images/s':>12}{'speed-up of the store, cold':>29}")
    for name, title in (("per_item_decode", "per-item decode"), ("cache_dataset", "MONAI CacheDataset, filled")):
        for workers, rate in found[name].items():
            lines.append(f"{f'{title}, {workers} workers':<40}{rate:>12,.0f}{ours['cold'] / rate:>28.1f}x")
    for name, title in (("cold", "new process"), ("warm", "later epochs"), ("floats", "converted to floats")):
        lines.append(f"{f'frame store, {title}':<40}{ours[name]:>12,.0f}")
    lines.append("")
    lines.append(f"MONAI's cache takes {found['cache_dataset_memory_mb']:.0f} MB in every process that fills one")
    for name, frames in (("frame_store", found["frames"]), ("frame_store_million", MILLION)):
        one = found[name]
        lines.append(f"store of {frames:,} frames: {one['warm']:,.0f} images/s, {one['memory']:.1f} MB per process")
    return "\n".join(lines)


def main() -> None:
    """Run the measurements, print the table and write JSON if requested."""
    parser = results.parser(__doc__)
    parser.add_argument(
        "--work", type=Path, help="folder for the files (sparse; 12 GB apparent size); default a temporary one"
    )
    parser.add_argument("--subjects", type=int, default=100, help="number of videos, one per subject")
    parser.add_argument("--frames", type=int, default=150, help="number of frames per video")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        found = measure(work, options.subjects, options.frames)
    print(table(found))
    results.write(options.json, found)


if __name__ == "__main__":
    main()
