"""Agreement of pseudo-labels with true masks."""

import pytest
from toys import toy_store

from study.stages.results.label_quality import quality_metrics, quality_table
from trainables.registration.pseudo_labels import Quality


def quality(sequence: int, direction: str, dice: tuple[float, ...]) -> Quality:
    return Quality(sequence, sequence, 0.5, direction, dice, (1.0,) * len(dice), (2.0,) * len(dice))  # type: ignore[arg-type]


def test_dice_is_averaged_over_classes_then_frames_then_sequences():
    found = [
        quality(0, "forward", (0.2, 0.4)),
        quality(0, "forward", (0.6, 0.8)),
        quality(1, "forward", (1.0, 1.0)),
        quality(0, "backward", (0.5, 0.5)),
    ]
    assert quality_metrics(found) == pytest.approx(
        {"quality/dice/forward": (0.5 + 1.0) / 2, "quality/dice/backward": 0.5}
    )


def test_the_table_has_a_row_for_each_frame_and_class():
    header, *rows = quality_table([quality(3, "forward", (0.25,))], toy_store()).splitlines()
    assert header == "subject,sequence,position,direction,class,dice,mean_absolute,hausdorff"
    assert rows == ["3,3,0.5,forward,bright,0.25,1.0,2.0"]
