import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.downstream.windows import mean_over_windows, sliding_windows, training_windows


@given(st.integers(1, 60), st.integers(1, 20))
def test_windows_slide_over_every_frame_and_half_out_of_the_ends(frames, length):
    windows = sliding_windows(frames, length)
    assert windows.shape[1] == length
    assert set(windows.ravel()) == set(range(frames))
    there_and_back = np.r_[np.arange(frames), np.arange(frames)[::-1]]
    endless = np.tile(there_and_back, 4 + 2 * length // frames)
    middle = len(endless) // 2 // (2 * frames) * 2 * frames
    half = length // 2
    np.testing.assert_array_equal(windows[0], endless[middle - half : middle - half + length])
    last = max(-half, frames - length + half)
    np.testing.assert_array_equal(windows[-1], endless[middle + last : middle + last + length])


@given(st.integers(1, 40), st.integers(1, 12))
def test_predictions_of_overlapping_windows_are_averaged(frames, length):
    windows = sliding_windows(frames, length)
    values = torch.randn(*windows.shape, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = mean_over_windows(windows, values, frames)
    for frame in range(frames):
        said = [values[w, t] for w, t in zip(*np.nonzero(windows == frame), strict=True)]
        torch.testing.assert_close(found[frame], torch.stack(said).mean(0))


def test_an_epoch_has_as_many_windows_of_a_sequence_as_its_frames_fill_and_slights_no_frame():
    sequences = [np.arange(10, 14), np.arange(20, 30), np.arange(40, 46)]
    choose = training_windows(sequences, 6, seed=3)
    windows = np.stack([choose(epoch) for epoch in range(400)])
    assert windows.shape == (400, 1 + 2 + 1, 6)
    assert (np.abs(np.diff(windows, axis=2)) <= 1).all()
    for part, rows in zip((windows[:, :1], windows[:, 1:3], windows[:, 3:]), sequences, strict=True):
        assert set(part.ravel()) == set(rows)
    counts = np.array([(windows[:, 1:3] == row).sum() for row in sequences[1]])
    assert counts.min() > 0.75 * counts.max()
    assert counts[[0, -1]].min() > 0.9 * counts.mean()
    np.testing.assert_array_equal(choose(5), training_windows(sequences, 6, seed=3)(5))
    assert not np.array_equal(choose(5), choose(6))
