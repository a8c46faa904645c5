"""Study file for a dataset of one's own, sized by what there is to train on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

_TEMPLATE = """\
# Does pretraining without labels help on these images if labels are few?
#
#   study plan {name}                   cells, jobs and estimated hours
#   study data views {name}             what the pretraining compares; adapt pretext.augment to your images
#   study run {name} --profile smoke    does it run? its numbers say nothing
#   study run {name}
#   study report {name}
title: {title}
seed: 0
data:
  layout: {layout}
  path: {path}
{views}  image_size: 112
network:
  name: deeplabv3
  backbone: {{name: resnet_tiny, width: 16}}
  rates: [2, 4, 6]
  width: 32
pretext:
  method: simclr
  frames: all
  augment: {{name: {policy}, size: 80}} # named policies: cropped, mild, mr, natural, ultrasound
  fit:
    epochs: {epochs}
    batch_size: {batch_size}
    optimizer: {{name: adamw, lr: 2.0e-3, weight_decay: 0.1}}
    schedule: {{name: cosine, warmup_epochs: {warmup}}}
    evaluate_every: {evaluate_every}
downstream:
  augment: supervised
  fit: # 300 steps at every number of labels
    epochs: 30
    steps_per_epoch: 10
    batch_size: 8
    optimizer: {{name: madgrad, lr: 2.0e-3}}
    schedule: {{name: cosine, warmup_epochs: 1}}
    evaluate_every: 5
factors:
  method:
    random: {{pretext.method: random}}
    simclr: {{pretext.method: simclr}}
    byol: {{pretext.method: {{name: byol, momentum: 0.98, hidden: 256, projection: 64}}}}
  labels: # labelled training subjects
{levels}
search:
  sampler: tpe
  trials: 4
  startup_trials: 3
  pruner: {{name: asha, min_epochs: 10, reduction: 2}}
  space:
    downstream.fit.optimizer.lr: {{loguniform: [1.0e-3, 2.0e-2]}}
    downstream.augment.strength: {{choice: [0.0, 1.0]}}
replicates: {{runs: 6, pretrainings: 2}}
profiles:
  smoke:
    data: {{image_size: 32}}
    network: {{backbone: {{width: 8}}, rates: [1, 2, 3], width: 16}}
    pretext: {{augment: {{size: null}}, fit: {{epochs: 2, evaluate_every: 1, schedule: {{warmup_epochs: 0}}}}}}
    downstream: {{fit: {{epochs: 2, steps_per_epoch: 2, evaluate_every: 1, schedule: {{warmup_epochs: 0}}}}}}
    search: {{trials: 1, startup_trials: 1}}
    replicates: {{runs: 2, pretrainings: 1}}
  large: # for a GPU
    data: {{image_size: 224}}
    network: {{name: deeplabv3, backbone: {{name: resnet18}}, rates: [6, 12, 18], width: 256}}
    pretext: {{augment: {{size: 160}}}}
"""
_STEPS = 1500  # of pretraining: enough for the small network, and minutes on a laptop
_LARGEST_BATCH, _SMALLEST_BATCH = 64, 4


def starter_study(
    name: str,
    folder: Path,
    images: int,
    labelled_subjects: int,
    policy: str,
    views: Sequence[str],
    slice_axis: int | None = None,
) -> str:
    """Return the text of a study file that compares random, SimCLR and BYOL starts at a few numbers of labels.

    Args:
        name: name of the study, for its comments and title.
        folder: the dataset's folder with its `manifest.csv`.
        images: number of images to pretrain on.
        labelled_subjects: number of labelled training subjects.
        policy: name of the augmentation policy of pretraining.
        views: names of the dataset's views; listed where there are several.
        slice_axis: axis along which volumes are cut into slices; None for the layout's default.
    """
    batch = _LARGEST_BATCH
    while batch > _SMALLEST_BATCH and batch * 2 > images:
        batch //= 2
    epochs = min(200, max(20, _STEPS * batch // max(1, images)))
    counts = sorted({max(1, labelled_subjects // 20), max(1, labelled_subjects // 4)} - {labelled_subjects})
    levels = [f'    "{count}": {{downstream.labels: {count}}}' for count in counts]
    return _TEMPLATE.format(
        name=name,
        title=json.dumps(f"Pretraining against a random start on {name}", ensure_ascii=False),
        layout="manifest" if slice_axis is None else f"{{name: manifest, slice_axis: {slice_axis}}}",
        path=json.dumps(str(folder), ensure_ascii=False),
        views=f"  views: {json.dumps(list(views), ensure_ascii=False)} # those to use\n" if len(views) > 1 else "",
        policy=policy,
        epochs=epochs,
        warmup=max(1, epochs // 10),
        evaluate_every=max(1, epochs // 5),
        batch_size=batch,
        levels="\n".join([*levels, f'    "{labelled_subjects}": {{downstream.label_fraction: 1.0}} # all']),
    )
