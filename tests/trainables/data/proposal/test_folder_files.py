"""Files of a folder that names alone do not tell apart."""

import cv2
import numpy as np
import pytest

from tests.trainables.data.proposal.conftest import disc, grey
from trainables.common.errors import DataError, UserError
from trainables.data.proposal import mask_content
from trainables.data.proposal.array_members import array_slice_axis
from trainables.data.proposal.proposal import ManifestProposal, propose_manifest

COUNT = 3


def pairs(proposal: ManifestProposal) -> dict[str, list[str]]:
    return {row.image: [file for files in row.masks.values() for file in files] for row in proposal.rows}


def test_previews_beside_images_are_left_out_by_name(write, tmp_path):
    for number in range(COUNT):
        write(f"p{number}/scan.png", grey(number))
        write(f"p{number}/scan_mask.png", disc())
        for name in ("preview.png", "thumb_scan.jpg", "scan_overlay.png"):
            write(f"p{number}/{name}", grey(9)[:6])
    proposal = propose_manifest(tmp_path)
    assert pairs(proposal) == {f"p{number}/scan.png": [f"p{number}/scan_mask.png"] for number in range(COUNT)}
    assert len(proposal.left_out) == 3 * COUNT
    assert ("p0/preview.png", "a preview by its name ('preview')") in proposal.left_out


def test_a_picture_of_a_volumes_name_is_left_out(write, tmp_path):
    for number in range(COUNT):
        np.save(tmp_path / f"c{number}.npy", np.stack([grey(number)] * 4, -1))
        write(f"c{number}.png", grey(number))
        write(f"d{number}.png", grey(number))
        write(f"d{number}.jpg", grey(number))
    proposal = propose_manifest(tmp_path)
    kept = (("c", ".npy"), ("d", ".png"))
    assert {*pairs(proposal)} == {f"{name}{number}{kind}" for number in range(COUNT) for name, kind in kept}
    assert ("d0.jpg", "a picture of the name of d0.png") in proposal.left_out


def test_a_thumb_is_an_image_where_nothing_else_has_its_name(write, tmp_path):
    for finger in ("thumb", "index"):
        for number in range(COUNT):
            write(f"{finger}_{number:03d}.png", grey(number))
    assert propose_manifest(tmp_path).images == 2 * COUNT


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("fotos/00{}.png", "etiquetas/00{}.png"),
        ("data/p{}/a.png", "kontur/p{}/a.png"),
        ("p{}/foto.png", "p{}/kontur_x.png"),
        ("{}.jpg", "{}.png"),
        ("train/x/{}.png", "train/y/{}.png"),
    ],
)
def test_masks_of_unknown_names_are_told_by_what_they_hold(write, tmp_path, image, mask):
    for number in range(COUNT):
        write(image.format(number), grey(number))
        write(mask.format(number), disc(1) + disc(2, column=6))
    proposal = propose_manifest(tmp_path)
    assert pairs(proposal) == {image.format(number): [mask.format(number)] for number in range(COUNT)}
    assert [each.value for each in proposal.labelling.classes] == [0, 1, 2]
    assert any("taken for masks by what they hold. Fix: set --mask-pattern" in note for note in proposal.notes)


def test_folders_of_masks_are_structures(write, tmp_path):
    for number in range(COUNT):
        write(f"bilder/{number}.png", grey(number))
        write(f"leber/{number}.png", disc(column=1))
        write(f"milz/{number}.png", disc(column=6))
    assert propose_manifest(tmp_path).labelling.structures == ("leber", "milz")


def test_a_folder_beside_named_masks_is_a_further_structure(write, tmp_path):
    for number in range(COUNT):
        write(f"images/{number}.png", grey(number))
        write(f"masks/liver/{number}.png", disc(column=1))
        write(f"lesion/{number}.png", disc(column=6))
    assert propose_manifest(tmp_path).labelling.structures == ("lesion", "liver")


def test_jpeg_masks_of_unknown_names_are_refused(write, tmp_path):
    for number in range(COUNT):
        write(f"a/{number}.png", grey(number))
        write(f"b/{number}.jpg", cv2.resize(disc(), (80, 96), interpolation=cv2.INTER_NEAREST))
    with pytest.raises(DataError, match=r"no mask can be used \(found b/0.jpg: JPEG compression changes"):
        propose_manifest(tmp_path)


def test_two_folders_of_few_values_are_asked_for(write, tmp_path):
    for number in range(COUNT):
        write(f"a/{number}.png", disc())
        write(f"b/{number}.png", disc(column=6))
    proposal = propose_manifest(tmp_path)
    assert proposal.masks == 0
    assert any("'a' (.png) and 'b' (.png) hold few values each" in note for note in proposal.notes)
    chosen = propose_manifest(tmp_path, mask_pattern="^b/")
    assert pairs(chosen) == {f"a/{number}.png": [f"b/{number}.png"] for number in range(COUNT)}


def test_folders_of_images_alone_have_no_masks(write, tmp_path):
    for folder in ("train", "test"):
        for number in range(COUNT):
            write(f"{folder}/{number}.png", grey(number))
    proposal = propose_manifest(tmp_path)
    assert (proposal.images, proposal.masks) == (2 * COUNT, 0)


@pytest.mark.parametrize(("pattern", "problem"), [("(", "not a regular"), ("zzz", "no file"), (".", "all files")])
def test_a_mask_pattern_that_cannot_be_used_is_refused(write, tmp_path, pattern, problem):
    write("a/0.png", grey())
    write("b/0.png", disc())
    with pytest.raises(UserError, match=rf"--mask-pattern .*{problem}"):
        propose_manifest(tmp_path, mask_pattern=pattern)


def test_each_mask_is_read_once(write, tmp_path, monkeypatch):
    for number in range(COUNT):
        write(f"p{number}.png", grey(number))
        write(f"p{number}_lv.png", disc())
    read: list[str] = []
    real = mask_content.read_mask_content
    monkeypatch.setattr(
        mask_content, "read_mask_content", lambda root, file, most: read.append(file) or real(root, file, most)
    )
    assert propose_manifest(tmp_path).masks == COUNT
    assert len(read) == len({*read})


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_arrays_of_one_file_are_an_image_and_its_mask(tmp_path, suffix):
    h5py = pytest.importorskip("h5py")
    for number in range(COUNT):
        arrays = {"image": np.stack([grey(number)] * 6), "label": np.stack([disc(1)] * 6), "spacing": np.ones(3)}
        path = tmp_path / f"case_{number}{suffix}"
        if suffix == ".npz":
            np.savez(path, **arrays)
        else:
            with h5py.File(path, "w") as file:
                for name, array in arrays.items():
                    file[name] = array
    proposal = propose_manifest(tmp_path)
    files = [f"case_{number}{suffix}" for number in range(COUNT)]
    assert pairs(proposal) == {f"{file}::image": [f"{file}::label"] for file in files}
    assert array_slice_axis(tmp_path, pairs(proposal)) is None  # 6 x 12 x 10: either may be the slices
    np.savez(tmp_path / "b.npz", image=np.zeros((4, 12, 12)))
    assert array_slice_axis(tmp_path, ["b.npz"]) == 0


def test_arrays_of_which_several_may_be_the_image_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", t1=grey(), t2=grey())
    np.savez(tmp_path / "b.npz", image=grey(), label=disc(1))
    proposal = propose_manifest(tmp_path)
    (left,) = proposal.left_out
    assert left[0] == "a.npz"
    assert "one array for the image expected (found t1, t2)" in left[1]
