import numpy as np
import pytest

from trainables.data.layouts.echonet import EchoNetDynamic
from trainables.data.store.decode import Decoder, kept_frames
from trainables.data.store.parallel import parallel_map


@pytest.mark.parametrize(
    ("count", "phases", "masked", "stride", "expected"),
    [
        (20, {4: "ED", 12: "ES"}, [4, 12], 1, [4, 5, 6, 7, 8, 9, 10, 11, 12]),
        (20, {12: "ED", 4: "ES"}, [4, 12], 3, [4, 7, 10, 12]),
        (20, {4: "ED", 12: "ES"}, [4, 12], 0, [4, 12]),
        (20, {4: "ED", 12: "ES"}, [12], 4, [8, 12]),
        (6, {}, [], 2, [1, 3, 5]),
        (6, {2: ""}, [2], 1, [0, 1, 2, 3, 4, 5]),
        (10, {4: "ED", 40: "ES"}, [4], 3, [2, 4, 5, 8]),
        (2, {0: "ED", 1: "ES"}, [0, 1], 1, [0, 1]),
        (4, dict.fromkeys(range(4), "ED"), [0, 1, 2, 3], 1, [0, 1, 2, 3]),
        (4, {}, [], 1, [0, 1, 2, 3]),
    ],
)
def test_kept_frames(count, phases, masked, stride, expected):
    assert list(kept_frames(count, phases, masked, stride)) == expected


def test_processes_decode_the_same_in_the_same_order(echonet_root):
    layout = EchoNetDynamic()
    records, decoder = layout.scan(echonet_root).records, Decoder(layout, echonet_root, 32, 2)
    for here, there in zip(parallel_map(decoder, records, 1), parallel_map(decoder, records, 2), strict=True):
        assert here.frames == there.frames
        np.testing.assert_array_equal(here.images, there.images)


@pytest.mark.parametrize("stride", [1, 2, 9])
def test_a_single_frame_is_kept_at_any_step(stride):
    assert kept_frames(1, {}, masked=[], stride=stride) == (0,)
    assert kept_frames(1, {}, masked=[], stride=0) == ()
    assert kept_frames(1, {0: ""}, masked=[], stride=stride) == (0,)  # its mask was lost, the image was not
    assert kept_frames(1, {0: ""}, masked=[], stride=0) == ()
