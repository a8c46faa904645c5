"""False alarms and misses of the verdict on pretrainings, over seeds.

    python -m benchmarks.learning [--seeds 50] [--store FOLDER] [--epochs 30] [--json FILE]

Pretrains a tiny network on small phantoms with every method whose views can be told apart by a person ("healthy"), and
with views that share nothing ("hopeless": noise of up to 20 times the gray range). Prints how often each verdict was
given. Without `--store` the phantom is generated; a frame store of real images is in a workspace's data/frames.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks import results
from trainables.augment.geometry import Crop
from trainables.augment.intensity import Jitter, Noise
from trainables.augment.policy import Policy
from trainables.data.settings import DataSettings
from trainables.data.store.frames import FrameStore
from trainables.data.store.prepare import prepare
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks.deeplabv3 import DeepLabV3
from trainables.networks.resnet import TinyResNet
from trainables.phantom import PhantomSettings
from trainables.pretext.barlow import BarlowTwins
from trainables.pretext.byol import BYOL
from trainables.pretext.masked import MaskedModelling
from trainables.pretext.method import Method
from trainables.pretext.moco import MoCo
from trainables.pretext.pretrain import PretextSettings, pretrain
from trainables.pretext.simclr import SimCLR
from trainables.pretext.vicreg import VICReg

HEALTHY = Policy(crop=Crop(area=(0.6, 1.0)), jitter=Jitter(0.3, 0.3, 0.8), blur=None, flip=None)
HOPELESS = replace(HEALTHY, crop=None, noise=Noise(sigma=20.0, p=1.0))
PAIRED: Mapping[str, Method] = {
    "simclr": SimCLR(projection=32),
    "byol": BYOL(hidden=64, projection=32, momentum=0.95),
    "moco": MoCo(hidden=64, projection=32, momentum=0.95),
    "vicreg": VICReg(projection=64),
    "barlow": BarlowTwins(projection=64),
}
"""Methods of two views, for which views that share nothing are hopeless."""

METHODS: Mapping[str, Method] = {**PAIRED, "masked": MaskedModelling(mask_ratio=0.4, patch=8)}
NETWORK = DeepLabV3(TinyResNet(width=8), rates=(1, 2), width=8)


@dataclass(frozen=True)
class VerdictCounts:
    """Verdicts of one method over all seeds.

    Attributes:
        method: name of the method.
        views: "healthy" or "hopeless".
        verdicts: number of runs by verdict.
    """

    method: str
    views: str
    verdicts: Mapping[str, int]


def verdict(store: FrameStore, method: Method, policy: Policy, epochs: int, seed: int) -> str:
    """Pretrain with one seed and return the verdict."""
    fit = FitSettings(epochs, 32, Adam(lr=3e-3), precision="float32", evaluate_every=max(1, epochs // 6))
    settings = PretextSettings(method, fit, policy, frames="all", guard="warn")
    learning = pretrain(settings, NETWORK, store, LocalRuntime(), seed).learning
    assert learning is not None
    return learning.verdict


def phantom(folder: Path, seed: int) -> FrameStore:
    """Return the frames of a phantom of 60 subjects at 32 pixels."""
    settings = DataSettings(phantom=PhantomSettings(subjects=60, frames=8, size=64, seed=seed), image_size=32)
    return prepare(settings, None, folder / str(seed), b"key", workers=1)


def main() -> None:
    """Count verdicts, and print one line per method and kind of views."""
    parser = results.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=50, help="number of seeds")
    parser.add_argument("--epochs", type=int, default=30, help="epochs of each pretraining")
    parser.add_argument("--store", type=Path, help="frame store to use instead of phantoms")
    options = parser.parse_args()
    torch.set_num_threads(1)
    counts: dict[tuple[str, str], Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            store = FrameStore.open(options.store) if options.store else phantom(Path(folder), seed)
            for views, policy, methods in (("healthy", HEALTHY, METHODS), ("hopeless", HOPELESS, PAIRED)):
                for name, method in methods.items():
                    found = verdict(store, method, policy, options.epochs, seed)
                    counts.setdefault((name, views), Counter())[found] += 1
    found_counts = [VerdictCounts(name, views, dict(each)) for (name, views), each in counts.items()]
    for each in found_counts:
        print(f"{each.method}, {each.views}: " + ", ".join(f"{name} {n}" for name, n in each.verdicts.items()))
    results.write(options.json, found_counts)


if __name__ == "__main__":
    main()
