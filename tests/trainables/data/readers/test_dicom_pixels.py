import base64
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import change
from pydicom import Dataset, examples, uid
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder

from trainables.common.errors import DataError
from trainables.data.readers.dicom import read_dicom_header
from trainables.data.readers.dicom_pixels import read_dicom_frames
from trainables.data.readers.grey import to_gray
from trainables.data.readers.limits import size_limit
from trainables.data.readers.pictures import read_picture
from trainables.phantom.writers.dicom_file import write_dicom

RAMP = (np.arange(64).reshape(8, 8) * 60).astype(np.uint16)
"""Twelve bits; compressed below by the libraries named."""
RAMP_HTJ2K = (  # OpenJPH 0.26.3, lossless
    "/0//UQApQAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJCQkJCQ"
    "iIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAFoAAf+TwAAmX/YFB3QAAADAABNAABMAIv4CB3QAGvEDh3QAwAATQAATgAwMAYJ0AG7o"
    "hgDDVADAACogABVgtm3bqnCCdQC++/bt+8BCAey2AP/Z"
)
RAMP_JPEG_LOSSLESS = (  # liblj92
    "/9j/xAAXAAEBAQEAAAAAAAAAAAAAAAAICQYQ/8MACxAACAAIAQARAP/aAAgBAAAGAADt5vN5vN5vN5eB4PB4PB4PB4XgeDweDweDweF4Hg8Hg8Hg8Hhe"
    "B4PB4PB4PB4XgeDweDweDweF4Hg8Hg8Hg8HheB4PB4PB4PB4AP/Z"
)
RAMP_JPEG_LS = (  # CharLS
    "/9j/6AAgU1BJRkYAAgAAAQAAAAgAAAAIChAGAQAAASwAAAEs/+gACAAAAAH/2P/3AAsQAAgACAEBEQD/+AANAf//ABIAQwEUAED/2gAIAQEAAAAAo7x3"
    "jvHWc47x1+BHiO06TlcLdHj4FstVos1ksUdvfWDe3NrY1p095qaWhnZmVOXusjGxMLAvrh7i8uri2tLK3e2srCurqzZbAP/Z"
)
DARK, LIGHT = 100, 3000
needs_gdcm = pytest.mark.skipif(
    "gdcm" not in get_decoder(uid.JPEGLosslessSV1).available_plugins,
    reason="python-gdcm is not installed (extra 'dicom')",
)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "a.dcm"


def write(path: Path, pixels: np.ndarray, **tags: object) -> Path:
    """Write gray pixels; `tags` are set last, None removes an entry."""
    write_dicom(path, uid.MRImageStorage, pixels, {"PatientID": "someone"})
    return change(path, **tags)


def compress(path: Path, syntax: uid.UID, streams: list[bytes], **tags: object) -> Path:
    write(path, RAMP, **tags)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate(streams)
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.save_as(path)
    return path


def functional_group(**sequences: dict[str, object]) -> Dataset:
    group = Dataset()
    for name, entries in sequences.items():
        item = Dataset()
        for entry, value in entries.items():
            setattr(item, entry, value)
        setattr(group, name, [item])
    return group


def test_pixels_are_rescaled(path):
    np.testing.assert_array_equal(read_dicom_frames(write(path, RAMP)), RAMP[None])
    write(path, RAMP, RescaleSlope=2, RescaleIntercept=-100)
    np.testing.assert_array_equal(read_dicom_frames(path), RAMP[None] * 2.0 - 100)


@pytest.mark.parametrize(
    ("dtype", "signed", "bits", "lowest", "highest"),
    [
        (np.uint8, 0, 8, 0, 255),
        (np.uint16, 0, 12, 0, 4095),
        (np.uint16, 0, 16, 0, 65535),
        (np.uint16, 1, 12, -2048, 2047),
    ],
)
def test_monochrome1_is_inverted_within_the_range_of_its_bits(path, dtype, signed, bits, lowest, highest):
    """The files of a series agree whatever the largest number in each of them."""
    for brightest in (highest, highest - 40):
        stored = np.array([[lowest, 3], [17, brightest]])
        pixels = (stored & ((1 << 8 * np.dtype(dtype).itemsize) - 1)).astype(dtype)
        tags = {"PixelRepresentation": signed, "BitsStored": bits, "HighBit": bits - 1}
        write(path, pixels, PhotometricInterpretation="MONOCHROME1", **tags)
        np.testing.assert_array_equal(read_dicom_frames(path)[0], lowest + highest - stored)
        np.testing.assert_array_equal(read_dicom_frames(path, labels=True)[0], stored)


def test_eight_bits_are_kept_and_more_are_stretched(path):
    eight = np.arange(20, 84, dtype=np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(read_picture(write(path, eight)).images[0], eight)
    np.testing.assert_array_equal(read_picture(write(path, eight.astype(np.uint16), BitsStored=8)).images[0], eight)
    np.testing.assert_array_equal(read_picture(write(path, RAMP)).images[0], to_gray(RAMP))
    np.testing.assert_array_equal(read_picture(write(path, RAMP, RescaleSlope="0.0001")).images[0], to_gray(RAMP))


def test_pixels_stored_as_floats(path):
    dataset = pydicom.dcmread(write(path, RAMP))
    dataset.BitsAllocated = 32
    dataset.FloatPixelData = (RAMP / 4095).astype("<f4").tobytes()
    for name in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, name)
    dataset.save_as(path)
    np.testing.assert_array_equal(read_picture(path).images[0], to_gray(RAMP))


@pytest.mark.parametrize(
    ("stored", "tags"),
    [
        (0, {"PixelPaddingValue": 0, "PhotometricInterpretation": "MONOCHROME1"}),
        (63536, {"PixelPaddingValue": 63536}),
        (63536, {"PixelPaddingValue": -2000, "PixelRepresentation": 1}),
        (60000, {"PixelPaddingValue": 50000, "PixelPaddingRangeLimit": 65535}),
    ],
)
def test_padding_is_black_and_does_not_squeeze_the_picture(path, stored, tags):
    scene = np.random.default_rng(0).integers(DARK, LIGHT, (40, 40)).astype(np.uint16)
    padded = scene.copy()
    padded[:6] = stored
    found = read_picture(write(path, padded, **tags)).images[0]
    bright = (65535 - scene.astype(int)) if "PhotometricInterpretation" in tags else scene
    assert not found[:6].any()
    assert np.abs(found[6:].astype(int) - to_gray(bright[6:])).max() <= 2
    assert not read_picture(path, labels=True).images[0][:6].any()


def test_padding_of_eight_bits(path):
    pixels = np.full((4, 4), 90, np.uint8)
    pixels[0] = 255
    found = read_picture(write(path, pixels, PixelPaddingValue=255)).images[0]
    np.testing.assert_array_equal(found, [[0] * 4, *[[90] * 4] * 3])


@pytest.mark.filterwarnings("ignore:overflow")
def test_values_that_are_not_finite_are_refused(path):
    with pytest.raises(DataError, match=r"a\.dcm: pixel values that are not finite"):
        read_dicom_frames(write(path, RAMP, RescaleSlope="1e38"))


def test_every_frame_of_an_enhanced_object_has_its_own_scale_place_and_time(path):
    """Frame k is stored divided by k+1, as scanners do to use all bits."""
    groups = [
        functional_group(
            PixelValueTransformationSequence={"RescaleSlope": k + 1, "RescaleIntercept": -k, "RescaleType": "US"},
            PlanePositionSequence={"ImagePositionPatient": [1, 2, 8 * (3 - k)]},
            CardiacSynchronizationSequence={"NominalCardiacTriggerDelayTime": 20.0 * k},
        )
        for k in range(4)
    ]
    shared = functional_group(
        PixelMeasuresSequence={"PixelSpacing": [1.5, 1.25], "SliceThickness": 8},
        PlaneOrientationSequence={"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
    )
    stored = np.stack([RAMP // (k + 1) for k in range(4)])
    write(path, stored, PerFrameFunctionalGroupsSequence=groups, SharedFunctionalGroupsSequence=[shared])
    expected = np.stack([stored[k] * (k + 1.0) - k for k in range(4)])
    np.testing.assert_array_equal(read_dicom_frames(path), expected)
    header = read_dicom_header(path)
    assert (header.frames, header.spacing, header.times) == (4, (1.5, 1.25), (0.0, 20.0, 40.0, 60.0))
    for k, plane in enumerate(header.planes):
        np.testing.assert_allclose(plane, [[1, 2, 8 * (3 - k)], [0, 0, -1.5], [0, 1.25, 0]])
    picture = read_picture(path)
    assert picture.slices
    np.testing.assert_array_equal(picture.planes, header.planes)
    np.testing.assert_array_equal(picture.images, to_gray(expected.astype(np.float32)))


def test_magnitude_and_phase_in_one_file_are_told_apart(path):
    groups = [
        functional_group(MRImageFrameTypeSequence={"ComplexImageComponent": name}) for name in ("MAGNITUDE", "PHASE")
    ]
    write(path, np.stack([RAMP, RAMP]), ComplexImageComponent="MIXED", PerFrameFunctionalGroupsSequence=groups)
    assert read_dicom_header(path).components == ("magnitude", "phase")
    with pytest.raises(DataError, match=r"a\.dcm: frames of different parts .*\(found magnitude, phase"):
        read_picture(path)


@pytest.mark.parametrize(
    ("tags", "component"),
    [
        ({}, "magnitude"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "RETRO"]}, "magnitude"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "RETRO"]}, "phase"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"]}, "phase"),
        ({"ImageType": ["DERIVED", "PRIMARY", "VELOCITY MAP", "P", "PCA"]}, "phase"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "R", "IR"]}, "real"),
        ({"ImageType": "ORIGINAL"}, "magnitude"),
        ({"ComplexImageComponent": "IMAGINARY"}, "imaginary"),
    ],
)
def test_part_of_the_signal(path, tags, component):
    assert read_dicom_header(write(path, RAMP, **tags)).components == (component,)


def test_ge_says_the_part_of_the_signal_in_a_private_entry(path):
    dataset = pydicom.dcmread(write(path, RAMP))
    dataset.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", 1)
    dataset.save_as(path)
    assert read_dicom_header(path).components == ("phase",)


@pytest.mark.parametrize("declared", [None, 1, 3])
@pytest.mark.filterwarnings("ignore")  # pydicom warns of the surplus
def test_frames_are_counted_where_the_header_does_not(path, declared):
    cine = np.stack([np.roll(RAMP, step, axis=1) for step in range(5)])
    write(path, cine, NumberOfFrames=declared)
    header = read_dicom_header(path)
    assert (header.frames, len(header.times), len(header.instances)) == (5, 5, 5)
    np.testing.assert_array_equal(read_dicom_frames(path), cine)


@pytest.mark.parametrize("declared", [None, 1])
@pytest.mark.filterwarnings("ignore")
def test_compressed_frames_are_counted_where_the_header_does_not(path, declared):
    cine = np.stack([np.roll(RAMP, step, axis=1) for step in range(3)])
    dataset = pydicom.dcmread(write(path, cine))
    dataset.compress(uid.RLELossless)
    if declared is None:
        del dataset.NumberOfFrames
    else:
        dataset.NumberOfFrames = declared
    dataset.save_as(path)
    assert read_dicom_header(path).frames == 3
    np.testing.assert_array_equal(read_dicom_frames(path), cine)


@pytest.mark.parametrize("implicit", [True, False])
def test_a_file_without_a_preamble(path, implicit):
    dataset = pydicom.dcmread(write(path, RAMP, PixelSpacing=[1.5, 1.25]))
    dataset.preamble = None
    del dataset.file_meta
    dataset.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert read_dicom_header(path).spacing == (1.5, 1.25)
    np.testing.assert_array_equal(read_dicom_frames(path), RAMP[None])


def test_color_is_its_luma_not_the_number_of_its_palette_entry():
    """Read a real image whose pixels are numbers of entries of 16 bits."""
    dataset = examples.palette_color
    tables = [
        np.frombuffer(getattr(dataset, f"{name}PaletteColorLookupTableData"), "<u2") >> 8
        for name in ("Red", "Green", "Blue")
    ]
    expected = sum(w * table[dataset.pixel_array] for w, table in zip((0.299, 0.587, 0.114), tables, strict=True))
    np.testing.assert_allclose(read_dicom_frames(Path(examples.get_path("palette_color")))[0], expected, atol=0.501)


def test_an_echo_cine_in_jpeg_is_gray_and_calibrated():
    path = Path(examples.get_path("ybr_color"))
    header, frames = read_dicom_header(path), read_dicom_frames(path)
    assert (header.frames, header.shape, frames.shape) == (30, (240, 320), (30, 240, 320))
    assert header.spacing == pytest.approx((0.510497, 0.510497), abs=1e-5)
    decoder = get_decoder(uid.JPEGBaseline8Bit)
    expected = decoder.as_array(pydicom.dcmread(path), decoding_plugin="pillow")[0].astype(float) @ [
        0.299,
        0.587,
        0.114,
    ]
    np.testing.assert_allclose(frames, expected, atol=0.501)
    np.testing.assert_array_equal(read_picture(path).images, frames)


@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        (uid.JPEGLosslessSV1, RAMP_JPEG_LOSSLESS),
        (uid.JPEGLSLossless, RAMP_JPEG_LS),
        (uid.HTJ2KLossless, RAMP_HTJ2K),
    ],
)
def test_compressed_pixels_are_exact_or_the_missing_decoder_is_named(path, syntax, text):
    streams = [base64.b64decode(text)] * 2
    compress(path, syntax, streams, NumberOfFrames=2)
    if get_decoder(syntax).is_available:
        np.testing.assert_array_equal(read_dicom_frames(path), [RAMP, RAMP])
    else:
        with pytest.raises(DataError, match=r"a\.dcm: no decoder for .* is installed"):
            read_dicom_frames(path)


@pytest.mark.parametrize("name", ["jpeg_ls_lossless", "jp2klossless", "RLE"])
@pytest.mark.filterwarnings("ignore")
def test_a_real_slice_is_the_same_in_each_compression(name):
    file = Path(get_testdata_file(f"MR_small_{name}.dcm"))
    if not get_decoder(pydicom.dcmread(file).file_meta.TransferSyntaxUID).is_available:
        pytest.skip("its decoder is not installed")
    plain = read_dicom_frames(Path(get_testdata_file("MR_small.dcm")))
    np.testing.assert_array_equal(read_dicom_frames(file), plain)


@needs_gdcm
@pytest.mark.parametrize(
    ("syntax", "text"), [(uid.JPEGLosslessSV1, RAMP_JPEG_LOSSLESS), (uid.JPEGLSLossless, RAMP_JPEG_LS)]
)
def test_damaged_lossless_pixels_are_refused(path, syntax, text, capfd):
    stream = base64.b64decode(text)
    compress(path, syntax, [stream[: len(stream) // 2 * 2 - 20]])
    with pytest.raises(DataError, match=r"a\.dcm: pixels cannot be decoded"):
        read_dicom_frames(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("syntax", "text", "fix"),
    [
        (
            uid.JPEGLosslessSV1,
            RAMP_JPEG_LOSSLESS,
            r"expected python-gdcm\)\. Fix: pip install 'pretext-study\[dicom\]'",
        ),
        (uid.HTJ2KLossless, RAMP_HTJ2K, r"expected pylibjpeg-openjpeg\)\. Fix: pip install 'pretext-study\[dicom\]'"),
        (uid.JPEGExtended12Bit, "/9j/2Q==", r"expected pylibjpeg-libjpeg\)\. Fix: .*\(GPL 3\), or decompress"),
    ],
)
def test_a_decoder_that_is_missing_is_named(path, monkeypatch, syntax, text, fix):
    decoder = get_decoder(syntax)
    pillow = {name: found for name, found in decoder._available.items() if name == "pillow"}
    monkeypatch.setattr(decoder, "_available", pillow)
    compress(path, syntax, [base64.b64decode(text)])
    with pytest.raises(DataError, match=rf"a\.dcm: no decoder for .* is installed \({fix}"):
        read_dicom_frames(path)


def test_an_unsupported_compression_is_named(path):
    compress(path, uid.MPEG2MPML, [b"\0" * 8])
    with pytest.raises(DataError, match=r"a\.dcm: unsupported compression \(found MPEG2"):
        read_dicom_frames(path)


def test_a_mask_in_lossy_compression_is_refused():
    path = Path(examples.get_path("ybr_color"))
    with pytest.raises(DataError, match="a mask in lossy compression"):
        read_dicom_frames(path, labels=True)


def test_the_decoded_size_is_bounded_before_decoding(path):
    write(path, RAMP, Rows=60000, Columns=60000, NumberOfFrames=50)
    with pytest.raises(DataError, match=r"a\.dcm: too large to decode \(found 720 GB: 50 x 60000 x 60000 x 1"):
        read_dicom_frames(path)
    write(path, RAMP)
    with size_limit(1e-8), pytest.raises(DataError, match=r"too large to decode"):
        read_dicom_frames(path)


@pytest.mark.parametrize("trailing", [False, True])
def test_other_entries_as_large_as_a_frame_are_no_frames(path, trailing):
    dataset = pydicom.dcmread(write(path, RAMP))
    dataset.private_block(0x0051, "someone", create=True).add_new(0x10, "OB", bytes(4 * RAMP.nbytes))
    if trailing:
        dataset.add_new(0xFFFCFFFC, "OB", bytes(16))
    dataset.save_as(path)
    assert read_dicom_header(path).frames == 1
    np.testing.assert_array_equal(read_dicom_frames(path), RAMP[None])
