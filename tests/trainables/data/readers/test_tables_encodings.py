"""CSV files as spreadsheets of several countries and systems write them."""

import codecs

import pytest

from trainables.data.readers.tables import read_rows, read_table

ROWS = [["subject", "image"], ["é1", "a,b;c.png"], ["p2", "x\ty.png"]]
EXPECTED = [(2, ["a,b;c.png", "é1"]), (3, ["x\ty.png", "p2"])]


def text(separator: str = ",", line: str = "\n") -> str:
    return line.join(separator.join(f'"{cell}"' for cell in row) for row in ROWS) + line


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_every_separator_line_end_and_encoding_reads_alike(tmp_path, separator, line, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes(text(separator, line).encode(encoding))
    assert list(read_rows(path, ("image", "subject"))) == EXPECTED


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("separator", [",", ";", "|"])
def test_a_line_that_names_the_separator_is_no_header_but_counts(tmp_path, mark, separator):
    path = tmp_path / "t.csv"
    path.write_bytes(mark + f"sep={separator}\r\n{text(separator)}".encode())
    assert list(read_rows(path, ("image", "subject"))) == [(line + 1, cells) for line, cells in EXPECTED]


def test_one_column_has_a_header(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("subject\n1;2\n")
    assert read_table(path, ("subject",)).header == ("subject",)


def test_a_null_byte_within_a_cell_is_not_taken_for_utf_16(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"subject,image\np,a\0.png\n")
    assert list(read_rows(path, ("image",))) == [(2, ["a\0.png"])]
