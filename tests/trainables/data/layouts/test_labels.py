import numpy as np
import pytest

from trainables.data.layouts.labels import to_classes

MEANING = {1: 3, 2: 2, 3: 1}


def test_numbers_become_the_classes_that_they_mean():
    labels = np.array([[0, 1], [2, 3]])
    mask, issue = to_classes(labels, (2, 2), MEANING, "m.nii")
    assert issue is None
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, [[0, 3], [2, 1]])


def test_background_only_is_a_true_negative_where_images_may_show_nothing():
    mask, issue = to_classes(np.zeros((1, 2), np.int64), (1, 2), MEANING, "m.nii", negatives=True)
    assert mask is not None
    assert (mask.tolist(), issue.severity, issue.kind, issue.skipped) == ([[0, 0]], "note", "background only", "")


@pytest.mark.parametrize(
    ("labels", "kind", "text"),
    [
        ([[0, 7]], "unknown label", "unknown label (found 7, expected 0, 1, 2, 3)"),
        ([[0, -2]], "unknown label", "unknown label (found -2, expected"),
        ([[0, 0]], "empty mask", "background only"),
        ([[1], [1]], "mask size differs from the image", "mask and image differ in size (found 2 x 1, expected 1 x 2)"),
    ],
)
def test_unusable_labels_are_refused_with_the_reason(labels, kind, text):
    mask, issue = to_classes(np.array(labels), (1, 2), MEANING, "m.nii", "frame 4")
    assert mask is None
    assert (issue.kind, issue.file, issue.place, issue.severity, issue.skipped) == (
        kind,
        "m.nii",
        "frame 4",
        "loss",
        "mask",
    )
    assert text in issue.message
