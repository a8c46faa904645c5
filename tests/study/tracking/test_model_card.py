"""Tests of the model card: what the weights are, what they started from, and what each metric means."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from study.storage.artifacts import ArtifactStore
from study.tracking.metric_meanings import MEANINGS, UNKNOWN, meaning_of
from study.tracking.model_card import input_text, model_card
from trainables.data.store.synthetic_store import synthetic_store
from trainables.prediction.preprocessing import Preprocessing

WEIGHTS = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}
CONFIG = {"data": "f00", "seed": 3}


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    """Return a store that holds one pretraining."""
    store = ArtifactStore(tmp_path)
    store.put("feed", {"stage": "pretext", "config": CONFIG, "metrics": {}, "job": "pretext-simclr-feed"})
    return store


def card(artifacts: ArtifactStore, stage: str, config: dict[str, Any], **about: Any) -> str:
    described = {"stage": stage, "digest": "abc", "config": CONFIG | config, **about}
    return model_card("Mine", described, WEIGHTS, artifacts)


def test_a_card_describes_weights_data_and_settings(artifacts):
    text = card(artifacts, "pretext", {"pretext": {"method": {"name": "simclr"}}, "start": None})
    assert text.startswith("# Mine\n")
    for part in ("2 tensors with 10 values", "`abc`", "`f00`", "seed: 3", "method: `simclr`", '"seed": 3'):
        assert part in text
    assert "null" not in text


def test_a_pretraining_is_not_fine_tuned_and_a_segmentation_network_is_trained_on_labels(artifacts):
    pretrained = card(artifacts, "pretext", {"start": None})
    assert "Pretrained without labels. These weights are from before any fine-tuning" in pretrained
    finetuned = card(artifacts, "downstream", {"downstream": {"label_fraction": 0.05, "labels": None}})
    assert "Trained for segmentation, on the labels of some subjects." in finetuned
    assert "without labels" not in finetuned
    assert "- labels: 5% of the labelled training subjects\n" in finetuned
    counted = card(artifacts, "downstream", {"downstream": {"label_fraction": 1.0, "labels": 7}, "labels": "f1"})
    assert "- labels: 7 labelled training subjects\n- pseudo-labels: artifact `f1`\n" in counted


@pytest.mark.parametrize(
    ("start", "text"),
    [
        (None, "random"),
        ({"name": "random"}, "random"),
        ({"name": "imagenet", "weights": None, "download": True}, "imagenet"),
        ("feed", "pretext-simclr-feed, artifact `feed`"),
        ({"artifact": "feed"}, "pretext-simclr-feed, artifact `feed`"),
        ({"artifact": "elsewhere"}, "artifact `elsewhere`"),
    ],
)
def test_the_initial_weights_are_named(artifacts, start, text):
    assert f"- initial weights: {text}\n" in card(artifacts, "pretext", {"start": start})


def test_the_input_is_described_by_its_numbers(artifacts):
    store = replace(synthetic_store(2, 16, 1, ("red", "green")), mean=(0.25, 0.5), std=(0.125, 0.0625))
    text = model_card("Mine", {"stage": "pretext", "digest": "abc", "config": CONFIG}, WEIGHTS, artifacts, store)
    numbers = "red: mean 0.25, standard deviation 0.125; green: mean 0.5, standard deviation 0.0625."
    assert "Frames of 16 x 16 pixels. Levels 0 to 255 are divided by 255, " in text
    assert f"normalized by the training frames' {numbers}" in text
    assert "the frame store of the training no longer exists" in card(artifacts, "pretext", {})
    resampled = Preprocessing(64, ("grey",), (0.5,), (0.25,), ("background", "lv"), "stretched", 1.5)
    assert "resampled to pixels of 1.5 mm, and cut or padded to 64 x 64" in input_text(resampled)
    assert "All values are stretched: their percentiles 0.5 and 99.5" in input_text(resampled)


def test_each_metric_has_its_unit_and_meaning(artifacts):
    text = card(artifacts, "downstream", {}, metrics={"val/dice/lv": 0.5, "images_per_second": 12.0, "own": 1.0})
    assert "| val/dice/lv | 0.5 | 0 to 1 | Dice overlap with the reference masks" in text
    assert "higher is better (validation split, lv) |" in text
    assert "| images_per_second | 12 | images/s | training speed (training) |" in text
    assert f"| own | 1 |  | {UNKNOWN.text} (training) |" in text


def test_the_verdict_on_a_pretraining_is_on_its_card(artifacts):
    learning = {"verdict": "weak", "reason": "views matched 20% of the time", "advice": "", "skill": 0.2}
    text = card(artifacts, "pretext", {}, learning=learning)
    assert "- verdict on the pretraining: weak: views matched 20% of the time\n" in text


def test_no_meaning_breaks_a_table():
    assert not any("|" in part for meaning in MEANINGS.values() for part in meaning)
    assert meaning_of("test/hausdorff/lv") == (UNKNOWN.unit, f"{UNKNOWN.text} (test split, lv)")
