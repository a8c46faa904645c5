"""Tests of the model card."""

import pytest
import torch

from study.tracking.model_card import model_card


@pytest.mark.parametrize(("stage", "text"), [("pretext", "without labels"), ("downstream", "on the labels")])
def test_a_card_describes_weights_data_and_settings(stage, text):
    about = {"stage": stage, "digest": "abc", "config": {"data": "f00", "seed": 3}, "metrics": {"val/dice": 0.5}}
    card = model_card("Mine", about, {"a": torch.zeros(2, 3), "b": torch.zeros(4)})
    assert card.startswith("# Mine\n")
    for part in ("2 tensors with 10 values", text, "`abc`", "`f00`", "seed: 3", "- val/dice: 0.5", '"seed": 3'):
        assert part in card
