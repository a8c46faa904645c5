"""Figure of the views that a pretext task sees."""

import numpy as np
import pytest
from toys import toy_store

from analysis.figures.views import caption, view_sheet
from trainables.augment.policy import Policy
from trainables.augment.trace import TracedView
from trainables.pretext.denoise import Denoise
from trainables.pretext.masked import MaskedModelling
from trainables.pretext.simclr import SimCLR

STORE = toy_store(12, size=32)


@pytest.mark.parametrize("method", [None, SimCLR(), MaskedModelling(patch=8), Denoise(noise_ratio=0.5)])
def test_every_frame_stands_beside_its_views(method):
    figure = view_sheet(STORE, Policy(), method, seed=0, count=3, views=2)
    assert len(figure.axes) == 9
    captions = [axes.get_xlabel() for axes in figure.axes]
    assert sum("spread" in text for text in captions) == 6
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert not np.array_equal(shown[0], shown[1])


def test_masked_patches_are_black_in_the_views_and_not_in_the_frame():
    plain = Policy(strength=0)
    figure = view_sheet(STORE, plain, MaskedModelling(0.5, 8), seed=0, count=1, views=1)
    frame, view = (np.asarray(axes.images[0].get_array()) for axes in figure.axes)
    hidden = view.reshape(4, 8, 4, 8).max((1, 3)) == 0
    assert hidden.sum() == 8
    assert (view == frame).reshape(4, 8, 4, 8).all((1, 3))[~hidden].all()


def test_a_caption_folds_between_operations():
    view = TracedView(None, None, ("area 50%", "jitter 10%", "compression 12%"), 0.5, 0.71)
    assert caption(view) == "area 50%, jitter 10%\ncompression 12%\nspread 50%, edges 0.71"
