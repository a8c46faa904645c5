import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.downstream.windows import mean_over_windows, sliding_windows, training_windows


@given(st.integers(1, 60), st.integers(1, 20))
def test_windows_slide_by_half_and_cover_every_frame(frames, length):
    windows = sliding_windows(frames, length)
    assert windows.shape[1] == length
    assert set(windows.ravel()) == set(range(frames))
    if frames >= length:
        assert (np.diff(windows, axis=1) == 1).all()
        assert (np.diff(windows[:, 0]) <= max(1, length // 2)).all()
        assert len(set(windows[:, 0])) == len(windows)
    else:
        np.testing.assert_array_equal(windows, [np.minimum(np.arange(length), frames - 1)])


@given(st.integers(1, 40), st.integers(1, 12))
def test_what_windows_say_of_a_frame_is_averaged(frames, length):
    windows = sliding_windows(frames, length)
    values = torch.randn(*windows.shape, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = mean_over_windows(windows, values, frames)
    for frame in range(frames):
        said = [values[w, t] for w, t in zip(*np.nonzero(windows == frame), strict=True)]
        torch.testing.assert_close(found[frame], torch.stack(said).mean(0))


def test_an_epoch_has_as_many_windows_of_a_sequence_as_its_frames_fill():
    sequences = [np.arange(10, 14), np.arange(20, 30), np.arange(40, 46)]
    choose = training_windows(sequences, 6, seed=3)
    seen: set[int] = set()
    for epoch in range(40):
        windows = choose(epoch)
        assert windows.shape == (1 + 2 + 1, 6)
        np.testing.assert_array_equal(windows[0], [10, 11, 12, 13, 13, 13])
        np.testing.assert_array_equal(windows[3], np.arange(40, 46))
        assert (np.diff(windows[1:3], axis=1) == 1).all()
        seen |= set(windows[1:3].ravel())
    assert seen == set(range(20, 30))
    np.testing.assert_array_equal(choose(5), training_windows(sequences, 6, seed=3)(5))
    assert not np.array_equal(choose(5), choose(6))
