"""The frames that a contact sheet shows, and outlines that leave inner structures visible."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.figures.contact_sheet import contact_sheet
from analysis.figures.outlines import outline
from analysis.figures.sheet_rows import chosen_rows
from trainables.data.records import RGB
from trainables.data.store.frames import FrameStore
from trainables.data.store.synthetic_store import synthetic_store


@pytest.fixture
def volumes() -> FrameStore:
    """Ten volumes of 11 slices; the first two and the last two slices of each have no structure."""
    store = synthetic_store(sequences=6, size=16, frames=11)
    masks, index = np.array(store.masks), np.array(store.index)
    index["frame"] = np.arange(len(index)) % 11
    masks[(index["frame"] < 2) | (index["frame"] > 8)] = 0
    index["stack"] = 1
    return replace(store, masks=masks, index=index)


def test_few_volumes_are_shown_slice_by_slice(volumes):
    rows = chosen_rows(volumes, 30)
    assert volumes.index["sequence"][rows].tolist() == sorted(list(range(10)) * 3)
    assert volumes.index["frame"][rows].tolist() == [2, 5, 8] * 10


def test_many_volumes_are_shown_at_different_depths(volumes):
    rows = chosen_rows(volumes, 10)
    assert volumes.index["sequence"][rows].tolist() == list(range(10))
    depths = volumes.index["frame"][rows]
    assert len(set(depths[:5])) == 5
    assert ((depths >= 2) & (depths <= 8)).all()
    assert len(chosen_rows(volumes, 4)) == 4


def test_frames_over_time_show_their_largest_mask(volumes):
    index, masks = np.array(volumes.index), np.zeros_like(volumes.masks)
    index["stack"] = 0
    masks[index["frame"] == 4, :8] = 1
    masks[index["frame"] == 7, :2] = 1
    rows = chosen_rows(replace(volumes, index=index, masks=masks), 10)
    assert index["frame"][rows].tolist() == [4] * 10


def test_every_panel_is_used_and_none_twice(volumes):
    for count in (1, 7, 10, 13, 24, 200):
        rows = chosen_rows(volumes, count)
        assert len(rows) == len(set(rows)) == min(count, 70)


def test_colours_take_one_panel_and_other_channels_one_each():
    coloured = synthetic_store(sequences=2, size=16, frames=1, channels=RGB)
    panels = [axes.images[0].get_array() for axes in contact_sheet(coloured, 4).axes if axes.get_visible()]
    assert len(panels) == 4
    shown = np.stack([np.asarray(panel) for panel in panels])
    assert shown.shape == (4, 16, 16, 3)
    rows = chosen_rows(coloured, 4)
    np.testing.assert_array_equal(shown, coloured.images[rows].transpose(0, 2, 3, 1))
    volumes = synthetic_store(sequences=2, size=16, frames=1, channels=("T2", "ADC", "DWI"))
    titles = [axes.get_title() for axes in contact_sheet(volumes, 4).axes if axes.get_visible()]
    assert [title.split()[-3] for title in titles] == ["T2", "ADC", "DWI"] * 4


def drawn(mask: np.ndarray, inset: float) -> np.ndarray:
    """Return the colours `(400, 400, 3)` of the outlines of a mask on black."""
    figure = Figure(figsize=(4, 4), dpi=100, facecolor="black")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    outline(axes, mask, ["#ff0000", "#00ff00", "#0000ff"], width=2, inset=inset)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


@pytest.mark.parametrize("ring", [1, 2])
def test_a_structure_inside_another_keeps_its_outline(ring):
    """Draw a disk that fills a ring, whose class comes before and after the disk's: both lines are seen whole."""
    rows, columns = np.indices((64, 64)) - 31.5
    radius = np.hypot(rows, columns)
    mask = np.where(radius < 12, 3 - ring, np.where(radius < 20, ring, 0))
    inner, outer = np.eye(3, dtype=int)[[2 - ring, ring - 1]] * 255
    picture = drawn(mask, inset=0.35)
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    for colour, place in ((inner, 12), (outer, 20)):
        near = (np.abs(picture - colour) < 80).all(-1)
        distance = np.hypot(*(np.indices(near.shape) - 199.5)) / 400 * 64
        around = np.arctan2(*(np.indices(near.shape) - 199.5)) % (2 * np.pi)
        on_line = near & (np.abs(distance - place) < 1.6)
        assert all((on_line & (np.abs(around - each) < 0.06)).any() for each in angle[1:])
        assert not (near & (np.abs(distance - place) > 2.5)).any()


def test_lines_without_an_inset_lie_on_the_border():
    mask = np.zeros((16, 16), np.uint8)
    mask[4:12, 4:12] = 1
    bright = np.argwhere(drawn(mask, inset=0.0)[..., 0] > 200) / 400 * 16
    assert np.abs(bright.min(0) - 4).max() < 0.2
    assert np.abs(bright.max(0) - 12).max() < 0.2
