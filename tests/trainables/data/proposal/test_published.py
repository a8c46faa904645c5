import pytest

from tests.trainables.data.proposal.conftest import disc, grey
from trainables.data.proposal.published import published_layouts
from trainables.phantom import PHANTOMS, PhantomSettings


@pytest.mark.parametrize("layout", ["camus", "acdc"])
def test_published_layouts_are_recognized(tmp_path, layout):
    PHANTOMS[layout].write(tmp_path, PhantomSettings(subjects=3, frames=8, size=48), None)
    assert published_layouts(tmp_path) == [layout]


def test_a_folder_of_pictures_is_none(write, tmp_path):
    write("images/a.png", grey())
    write("masks/a.png", disc())
    assert published_layouts(tmp_path) == []
