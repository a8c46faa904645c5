"""Whatever a reader raises becomes one fault that names the file; the limit of a file's size holds inside."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.layouts.echonet import EchoNetDynamic
from trainables.data.readers import video
from trainables.data.readers.limits import require_size, size_limit
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.data.store.guard import guarded, list_dataset
from trainables.data.store.prepare import prepare


class Odd(Exception):
    pass


def reader(path: Path, error: Exception) -> None:
    other = path.parent / "nowhere"
    assert not other.exists()
    raise error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Odd("line one\nline two"), r"cannot be decoded \(Odd: line one line two\)"),
        (RecursionError(), r"cannot be decoded \(RecursionError\)"),
        (MemoryError(), "not enough memory to decode it"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), r"cannot be decoded \(UnicodeDecodeError: "),
        (OSError(5, "Input/output error"), r"cannot be decoded \(OSError: .*Input/output error\)"),
    ],
)
def test_any_exception_names_the_file_that_was_read(tmp_path, error, message):
    file = tmp_path / "folder" / "image.png"
    file.parent.mkdir()
    file.touch()
    with pytest.raises(DataError, match=rf"^{file}: {message}"), guarded(tmp_path, 1.0):
        reader(file, error)


def test_errors_of_readers_pass_and_so_does_an_interruption(tmp_path):
    with pytest.raises(DataError, match=r"^x\.png: damaged$"), guarded(tmp_path, 1.0):
        raise DataError("x.png: damaged")
    with pytest.raises(KeyboardInterrupt), guarded(tmp_path, 1.0):
        raise KeyboardInterrupt


def test_warnings_of_libraries_are_not_shown(tmp_path):
    with warnings.catch_warnings(), guarded(tmp_path, 1.0):
        warnings.simplefilter("error")
        with guarded(tmp_path, 1.0):
            warnings.warn("\x1b[31m", stacklevel=1)


@pytest.mark.parametrize("error", [MemoryError(), Odd("what")])
def test_an_unexpected_error_of_one_file_is_one_issue(echonet_root, tmp_path, monkeypatch, error):
    torn = sorted((echonet_root / "Videos").iterdir())[2]
    read = video.read_video

    def broken(path: Path) -> np.ndarray:
        if path == torn:
            raise error
        return read(path)

    monkeypatch.setattr("trainables.data.layouts.echonet.read_video", broken)
    report = check(DataSettings(), echonet_root)
    (issue,) = report.issues
    assert (issue.file, issue.severity, issue.kind) == (f"Videos/{torn.name}", "damage", "unreadable sequence")
    assert str(echonet_root) not in issue.message
    with pytest.raises(DataError, match=rf"1 damaged of 8 sequences\n  Videos/{torn.name}: "):
        prepare(DataSettings(), echonet_root, tmp_path, b"key")


def test_an_unexpected_error_of_the_listing_is_one_message(echonet_root, monkeypatch):
    def broken(self: EchoNetDynamic, root: Path) -> None:
        table = root / "FileList.csv"
        raise Odd(table.name)

    monkeypatch.setattr(EchoNetDynamic, "scan", broken)
    with pytest.raises(DataError, match=r"FileList\.csv: cannot be decoded \(Odd: FileList\.csv\)"):
        list_dataset(DataSettings(), echonet_root)


def test_sizes_are_those_of_the_decoded_values():
    path = Path("a.nii")
    with size_limit(1.0):
        require_size(path, (1000, 1000, 500), np.int16)
        with pytest.raises(DataError, match=r"a\.nii: too large .*found 1\.05 GB: 1000 x 1050 x 500 of int16"):
            require_size(path, (1000, 1050, 500), np.int16)
        with size_limit(2.0):
            require_size(path, (1000, 1050, 500), np.int16)
        with pytest.raises(DataError, match=r"expected at most 1 GB.*raise `max_gigabytes`"):
            require_size(path, (2**40, 2**40))
    require_size(path, (2 * 10**9,))


def test_the_limit_of_the_settings_holds_in_every_process(echonet_root):
    settings = DataSettings(max_gigabytes=1e-6)
    for workers in (1, 2):
        report = check(settings, echonet_root, workers=workers)
        assert len(report.issues) == 8
        assert all("too large to decode" in issue.message for issue in report.issues)
    assert report.sequences == 0
