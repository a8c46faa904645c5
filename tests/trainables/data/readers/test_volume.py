from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.readers.metaimage_writer import write_metaimage
from trainables.data.readers.volume import read_volume, read_volume_grid

VALUES = np.random.default_rng(0).integers(0, 999, (5, 4, 3)).astype(np.int16)


def metaimage(path: Path, *, without: tuple[str, ...] = (), **tags: str) -> Path:
    """Write VALUES with some of the header's tags changed or left out."""
    write_metaimage(path, VALUES, (1.5, 1.25, 8.0))
    lines = path.read_text().splitlines()
    kept = [line for line in lines if line.split(" = ")[0] not in (*without, *tags)]
    path.write_text("\n".join([*(f"{tag} = {value}" for tag, value in tags.items()), *kept]) + "\n")
    return path


def test_a_metaimage_lies_where_its_tags_say(tmp_path):
    path = metaimage(tmp_path / "a.mhd", TransformMatrix="0 1 0 -1 0 0 0 0 1", Offset="10 20 30")
    array, grid = read_volume(path)
    np.testing.assert_array_equal(array, VALUES)
    expected = [[0, -1.25, 0, 10], [1.5, 0, 0, 20], [0, 0, 8, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(grid.affine, expected)
    assert (grid.shape, grid.zooms, grid.slice_axis, grid.stock) == (VALUES.shape, (1.5, 1.25, 8.0), 2, False)
    assert str(read_volume_grid(path)) == str(grid)


def test_simpleitk_puts_every_voxel_of_both_formats_where_the_grid_does(tmp_path):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK belongs to the extra `nnunet`")
    image = sitk.GetImageFromArray(VALUES.T)
    image.SetSpacing((1.5, 1.25, 8.0))
    image.SetOrigin((10.0, -20.0, 30.0))
    image.SetDirection(np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0].ravel().tolist())
    for name in ("a.mhd", "a.mha", "a.nii.gz"):
        sitk.WriteImage(image, str(tmp_path / name))
        array, grid = read_volume(tmp_path / name)
        for voxel in ((0, 0, 0), (4, 1, 2), (2, 3, 0)):
            place = image.TransformIndexToPhysicalPoint(voxel)
            np.testing.assert_allclose((grid.affine @ [*voxel, 1])[:3], place, atol=1e-4, err_msg=name)
            assert array[voxel] == image.GetPixel(voxel)


@pytest.mark.parametrize(
    ("without", "tags", "known", "stock"),
    [
        (("TransformMatrix", "Offset"), {}, False, False),
        (("ElementSpacing",), {}, False, False),
        (("TransformMatrix",), {}, True, False),
        ((), {"ElementSpacing": "1 1 1"}, True, True),
        ((), {"ElementSpacing": "1 1 1", "Offset": "0 0 4"}, True, False),
        ((), {}, True, False),
    ],
)
def test_a_header_without_a_place_is_known_as_one(tmp_path, without, tags, known, stock):
    grid = read_volume_grid(metaimage(tmp_path / "a.mhd", without=without, **tags))
    assert (grid.affine is not None, grid.stock) == (known, stock)


@pytest.mark.parametrize("suffix", [".nii", ".mha"])
def test_both_formats_cut_along_the_largest_spacing_or_the_told_axis(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".nii":
        nib.save(nib.Nifti1Image(VALUES, np.diag([-8.0, -1.5, 1.25, 1])), path)
    else:
        write_metaimage(path, VALUES, (8.0, 1.5, 1.25))
    assert (read_volume_grid(path).slice_axis, read_volume_grid(path).slices) == (0, 5)
    assert read_volume_grid(path).spacing == (1.25, 1.5)
    _, told = read_volume(path, 1)
    assert (told.slice_axis, told.slices, told.spacing) == (1, 4, (1.25, 8.0))


def test_an_image_of_two_axes_is_one_slice_and_other_shapes_are_refused(tmp_path):
    write_metaimage(tmp_path / "a.mha", VALUES[..., 0], (2.0, 1.0))
    array, grid = read_volume(tmp_path / "a.mha")
    assert (array.shape, grid.shape, grid.slices, grid.spacing) == ((5, 4, 1), (5, 4, 1), 1, (1.0, 2.0))
    write_metaimage(tmp_path / "b.mha", VALUES[..., None], (1.0,) * 4)
    with pytest.raises(DataError, match=r"b\.mha: unsupported shape \(found \(5, 4, 3, 1\), expected one image or"):
        read_volume(tmp_path / "b.mha")
    write_metaimage(tmp_path / "c.mha", np.full((3, 3), np.nan, np.float32), (1.0, 1.0))
    with pytest.raises(DataError, match=r"c\.mha: voxel values that are not finite"):
        read_volume(tmp_path / "c.mha")
