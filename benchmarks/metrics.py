"""Dice, Hausdorff and mean surface distance of 512x512 mask pairs, compared with other libraries.

The libraries are MONAI, medpy, DeepMind's surface-distance and SimpleITK.

    python -m benchmarks.metrics [--pairs 20] [--json metrics.json]

All programs are timed alternately on the same pairs with one thread; the fastest repetition counts. Programs that are
not installed are listed and skipped. For each metric the table shows the maximum absolute difference from ours over
all pairs; surface-distance weights contour elements by length, so its mean differs slightly by definition, and medpy
averages the two directed means.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable

import cv2
import numpy as np
import torch

from benchmarks import results
from trainables.metrics.overlap import dice
from trainables.metrics.surface import surface_distances

SPACING = (0.30, 0.45)
SIZE = 512
Measure = Callable[[np.ndarray, np.ndarray], tuple[float, float, float]]
"""Function that returns (Dice, Hausdorff distance, mean absolute surface distance) of two bool masks."""


def ventricle_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two similar random ventricle masks `(SIZE, SIZE)`, as from two observers."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] - np.array([260, 250])[:, None, None] - generator.normal(0, 10, (2, 1, 1))
    angle, distance = np.arctan2(y * 0.6, x), np.hypot(y * 0.6, x)
    waves = np.stack([np.cos(k * angle + generator.uniform(0, 6)) / k for k in range(2, 8)])
    shape, change = generator.normal(0, 9, 6), generator.normal(0, 4, 6)
    return tuple(distance < 85 + np.tensordot(weights, waves, 1) for weights in (shape, shape + change))  # type: ignore[return-value]


def ours(predicted: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    found = surface_distances(predicted[None], truth[None], 2, SPACING)
    overlap = dice(torch.from_numpy(predicted[None]), torch.from_numpy(truth[None]), 2)
    return overlap.item(), found.hausdorff.item(), found.mean_absolute.item()


def monai() -> Measure:
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.meandice import compute_dice
    from monai.metrics.surface_distance import compute_average_surface_distance

    def measure(predicted: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
        pair = [torch.from_numpy(mask)[None, None].float() for mask in (predicted, truth)]
        step = list(SPACING)
        hausdorff = compute_hausdorff_distance(*pair, include_background=True, spacing=step)
        mean = compute_average_surface_distance(*pair, include_background=True, symmetric=True, spacing=step)
        return compute_dice(*pair).item(), hausdorff.item(), mean.item()

    return measure


def medpy() -> Measure:
    from medpy.metric import binary

    return lambda predicted, truth: (
        binary.dc(predicted, truth),
        binary.hd(predicted, truth, SPACING),
        binary.assd(predicted, truth, SPACING),
    )


def surface_distance() -> Measure:
    import surface_distance as peer

    def measure(predicted: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
        found = peer.compute_surface_distances(truth, predicted, SPACING)
        there, back = found["surfel_areas_gt"], found["surfel_areas_pred"]
        total = (found["distances_gt_to_pred"] * there).sum() + (found["distances_pred_to_gt"] * back).sum()
        mean = total / (there.sum() + back.sum())
        return peer.compute_dice_coefficient(truth, predicted), peer.compute_robust_hausdorff(found, 100), mean

    return measure


def simpleitk() -> Measure:
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)

    def measure(predicted: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
        images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (predicted, truth)]
        for image in images:
            image.SetSpacing(SPACING[::-1])
        overlap, distance = sitk.LabelOverlapMeasuresImageFilter(), sitk.HausdorffDistanceImageFilter()
        overlap.Execute(*images)
        distance.Execute(*images)
        edges = [sitk.GetArrayFromImage(sitk.LabelContour(image)) > 0 for image in images]
        maps = [
            np.abs(sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(sitk.LabelContour(image), False, False, True)))
            for image in images
        ]
        pooled = np.concatenate([maps[1][edges[0]], maps[0][edges[1]]])
        return overlap.GetDiceCoefficient(), distance.GetHausdorffDistance(), float(pooled.mean())

    return measure


PEERS: dict[str, tuple[str, Callable[[], Measure]]] = {
    "MONAI": ("monai", monai),
    "medpy": ("medpy", medpy),
    "surface-distance": ("surface_distance", surface_distance),
    "SimpleITK": ("SimpleITK", simpleitk),
}


def run(pairs: int, turns: int) -> list[dict[str, object]]:
    """Return one row per program: milliseconds per pair, speed-up of ours, maximum differences from ours."""
    programs: dict[str, Measure] = {"ours": ours}
    for name, (module, load) in PEERS.items():
        if importlib.util.find_spec(module) is not None:
            programs[name] = load()
    masks = [ventricle_pair(seed) for seed in range(pairs)]
    results = {name: np.array([measure(*pair) for pair in masks]) for name, measure in programs.items()}
    best = dict.fromkeys(programs, float("inf"))
    for _ in range(turns):
        for name, measure in programs.items():
            started = time.perf_counter()
            for pair in masks:
                measure(*pair)
            best[name] = min(best[name], (time.perf_counter() - started) / pairs * 1000)
    rows: list[dict[str, object]] = []
    for name in programs:
        difference = np.abs(results[name] - results["ours"]).max(0)
        columns = dict(zip(("dice", "hausdorff_mm", "mean_mm"), difference.tolist(), strict=True))
        rows.append(
            {"program": name, "ms_per_pair": best[name], "ours_is_faster": best[name] / best["ours"], **columns}
        )
    return rows + [{"program": name, "not_installed": True} for name in PEERS if name not in programs]


def main() -> None:
    """Print one line for each program."""
    parser = results.parser(__doc__)
    parser.add_argument("--pairs", type=int, default=20, help="number of mask pairs")
    parser.add_argument("--turns", type=int, default=3, help="number of repetitions")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows = run(arguments.pairs, arguments.turns)
    print(f"{'program':18}{'ms/pair':>9}{'speed-up':>10}   maximum difference:  {'Dice':>8}{'HD mm':>9}{'MAD mm':>9}")
    for row in rows:
        if "not_installed" in row:
            print(f"{row['program']:18}{'not installed':>19}")
        else:
            print(
                f"{row['program']:18}{row['ms_per_pair']:9.2f}{row['ours_is_faster']:9.1f}x{'':24}"
                f"{row['dice']:8.1e}{row['hausdorff_mm']:9.1e}{row['mean_mm']:9.1e}"
            )
    results.write(arguments.json, rows)


if __name__ == "__main__":
    main()
