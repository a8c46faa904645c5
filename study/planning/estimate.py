"""What a study will cost, from a few measured steps of each of its stages on this machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from study.config.plain import canonical, plain
from study.config.spec import StudySpec
from study.planning.calibration import Calibration, device
from study.planning.jobs import Kind
from study.planning.plan import Plan
from trainables.data.records import SPLITS, Clip, Split
from trainables.data.settings import DataSettings
from trainables.data.store.build import assign
from trainables.data.store.synthetic_store import synthetic_store
from trainables.downstream.finetune import finetune
from trainables.engine.runtime import LocalRuntime, use_threads
from trainables.engine.trainer import FitSettings
from trainables.pretext.pretrain import PretextSettings, pretrain
from trainables.registration.training import train_registration

EVALUATION = 1 / 3
"""Cost of judging an image, as a share of training on it: the forward pass alone."""


SYSTOLE = 0.3
"""Share of a phantom's frames that lie between end-diastole and end-systole, roughly."""


@dataclass(frozen=True)
class CostEstimate:
    """Hours that each kind of job takes one worker, over the whole study, and what they were measured on."""

    hours: Mapping[str, float]
    device: str

    @property
    def total(self) -> float:
        """Hours of all jobs together."""
        return sum(self.hours.values())


@dataclass(frozen=True)
class Sizes:
    """Sequences, labelled frames and all frames that a store keeps, in each split of a dataset."""

    sequences: Mapping[Split, float]
    labelled: Mapping[Split, float]
    frames: Mapping[Split, float]


def estimate(plan: Plan, rates: Calibration) -> CostEstimate:
    """Measure a few steps of every stage that differs in cost, and multiply by what the plan runs.

    Early stopping is not counted on, so that searches with a pruner take less.

    Args:
        plan: of the study.
        rates: what has been measured before.
    """
    hours = {**{str(kind): 0.0 for kind in plan.planned()}}
    shared: set[str] = set()
    for cell in plan.cells:
        spec = plan.resolve(cell.key, {})
        stage: PretextSettings | None = spec.pretext
        for pretext in reversed(plan.pretexts(cell.key, {})):
            assert stage is not None
            if pretext.digest not in shared:
                shared.add(pretext.digest)
                one = replace(spec, pretext=stage)
                hours["pretext"] += _pretext_images(one) / _rate("pretext", one, rates) / 3600
            stage = stage.init_from
        for job in plan.labels(cell.key, {}):
            if job.digest not in shared:
                shared.add(job.digest)
                pairs = _pairs(spec) if job.stage == "registration" else EVALUATION * _carried(spec)
                hours[job.kind] += pairs / _rate("registration", spec, rates) / 3600
        seconds = _downstream_images(spec) / _rate("downstream", spec, rates)
        counts: dict[Kind, int] = {"trial": plan.trials(cell.key), "replicate": plan.spec.replicates}
        for kind, count in counts.items():
            hours[kind] += count * seconds / 3600
    return CostEstimate(hours, device())


def _pretext_images(spec: StudySpec) -> float:
    sizes, settings = dataset_sizes(spec.pretext_data or spec.data), spec.pretext
    images = sizes.frames if settings.frames == "all" else sizes.sequences
    evaluations = math.ceil(settings.fit.epochs / settings.fit.evaluate_every)
    return settings.fit.epochs * _in_epoch(settings.fit, images["train"]) + evaluations * EVALUATION * images["val"]


def _downstream_images(spec: StudySpec) -> float:
    sizes, settings = dataset_sizes(spec.data), spec.downstream
    images, judged = sizes.labelled["train"], sizes.labelled["val"]
    if settings.targets == "propagated":
        images = sizes.frames["train"]
    images = max(1.0, images / spec.network.frames)
    if settings.labels is None:
        images *= settings.label_fraction
    else:
        images *= min(1.0, settings.labels / max(1.0, sizes.sequences["train"]))
    evaluations = math.ceil(settings.fit.epochs / settings.fit.evaluate_every)
    trained = settings.fit.epochs * _in_epoch(settings.fit, images)
    return (settings.folds or 1) * (trained + evaluations * EVALUATION * judged)


def _pairs(spec: StudySpec) -> float:
    """Pairs of frames that the registration is trained on."""
    sizes, settings = dataset_sizes(spec.data), spec.registration
    number = sizes.sequences["train"]
    if settings.pairs == "all":
        number *= (sizes.frames["train"] / max(1.0, number)) ** 2
    return settings.fit.epochs * _in_epoch(settings.fit, number)


def _carried(spec: StudySpec) -> float:
    """Pairs of frames that labels are carried over, in both directions."""
    return 2 * sum(dataset_sizes(spec.data).frames.values())


def _in_epoch(fit: FitSettings, images: float) -> float:
    return images if fit.steps_per_epoch is None else float(fit.steps_per_epoch * fit.batch_size)


def dataset_sizes(settings: DataSettings) -> Sizes:
    """How large a dataset is, from its lists alone.

    Raises:
        DataError: it is not where the study says.
    """
    if settings.phantom is not None:
        total, fractions = float(settings.phantom.subjects), settings.phantom.fractions
        shares = {split: total * share / sum(fractions) for split, share in zip(SPLITS, fractions, strict=True)}
        between = SYSTOLE * settings.phantom.frames / settings.stride if settings.stride else 0.0
        labelled = {split: 2 * count for split, count in shares.items()}
        return Sizes(shares, labelled, {split: (2 + between) * count for split, count in shares.items()})
    root = Path(settings.path or "").expanduser()
    clips = settings.layout.scan(root).clips
    parts, _ = assign(root, clips, settings, [])
    sequences, labelled, frames = {}, {}, {}
    for split in SPLITS:
        chosen = [clip for clip in clips if parts.get(clip.subject) == split]
        sequences[split] = float(len(chosen))
        labelled[split] = float(sum(len(clip.labelled) for clip in chosen))
        frames[split] = labelled[split] + sum(_between(clip, settings.stride) for clip in chosen)
    return Sizes(sequences, labelled, frames)


def _between(clip: Clip, stride: int) -> float:
    """Unlabelled frames that a store keeps of a sequence: those between its labelled ends, or all the others."""
    ends = [frame for frame, phase in clip.labelled.items() if phase]
    cycle = len({clip.labelled[frame] for frame in ends}) > 1
    span = max(ends) - min(ends) - 1 if cycle else (clip.frames or 0) - len(clip.labelled)
    return max(0, span) / stride if stride else 0.0


def _rate(stage: str, spec: StudySpec, known: Calibration) -> float:
    """Training images (windows, pairs) a second of one worker, once for each network, method, batch and image size."""
    needs = {"pretext": spec.resources.pretext, "registration": spec.resources.registration}
    cpus = int(needs.get(stage, spec.resources.downstream).cpus)
    fits = {"pretext": spec.pretext.fit, "registration": spec.registration.fit, "downstream": spec.downstream.fit}
    methods = {"pretext": spec.pretext.method, "registration": spec.registration.network, "downstream": None}
    fit, method = fits[stage], plain(methods[stage])
    size = (spec.pretext_data or spec.data).image_size if stage == "pretext" else spec.data.image_size
    batch = min(fit.batch_size, 64)

    def measure() -> float:
        use_threads(cpus)
        return max(row["images_per_second"] for row in _measure(stage, spec, fit, size, batch))

    what = [stage, plain(spec.network), method, size, batch, fit.precision, fit.micro_batch, fit.recompute, cpus]
    return known.rate(canonical(what), measure)


def _measure(stage: str, spec: StudySpec, fit: FitSettings, size: int, batch: int) -> list[dict[str, float]]:
    in_parts = fit.micro_batch is not None and fit.micro_batch < fit.batch_size
    parts = max(2, min(fit.micro_batch or batch, batch // 2)) if in_parts else None  # cached gradients take longer
    short = replace(fit, epochs=2, batch_size=batch, steps_per_epoch=None, micro_batch=parts, overlap_evaluation=False)
    store = synthetic_store(2 * batch, size, {"registration": 2, "downstream": spec.network.frames}.get(stage, 1))
    if stage == "registration":
        return train_registration(
            replace(spec.registration, fit=short, pairs="one_per_sequence"), store, LocalRuntime(), spec.seed
        ).fitted.history
    if stage == "pretext":
        settings = replace(spec.pretext, fit=short, collapse=None, probe=None)
        return pretrain(settings, spec.network, store, LocalRuntime(), spec.seed).fitted.history
    downstream = replace(spec.downstream, fit=short, label_fraction=1.0, labels=None, targets="labelled", folds=None)
    return finetune(downstream, spec.network, None, store, LocalRuntime(), spec.seed).fitted.history
