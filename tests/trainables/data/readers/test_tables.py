import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainables.common.errors import DataError
from trainables.data.readers.tables import is_inside, parse_count, parse_float, read_pairs, read_rows


def test_columns_come_in_the_given_order_with_line_numbers(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("\ufeffA,B,C\n1,2,3\n\n 4 ,5\n")
    assert list(read_rows(table, ("C", "A"))) == [(2, ["3", "1"]), (4, ["", "4"])]


def test_a_missing_column_is_named_with_the_nearest(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("FileNam,EF\n")
    with pytest.raises(DataError, match=r"t\.csv, row 1: no column 'FileName'; did you mean 'FileNam'\?"):
        list(read_rows(table, ("FileName",)))


def test_a_missing_table_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: No such file"):
        list(read_rows(tmp_path / "none.csv", ("A",)))


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ('A,B\n1,2\n3,"4\n5,6\n7,8\n', 3),  # never closed
        ('A,B\n1,2\n3,4\n5,"6\n7,"8",9\n', 4),  # closed by the next quote
        ('A;B\n1;"2\n', 2),
        ('"A,B\n1,2\n', 1),
        ('sep=;\nA;B\n"1;2\n', 3),
    ],
)
def test_an_unclosed_quote_is_named_with_its_row(tmp_path, text, row):
    table = tmp_path / "t.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=rf"t\.csv, row {row}: quotes that are not closed.*Fix: close them"):
        list(read_rows(table, ("A", "B")))


def test_quotes_within_a_cell_and_cells_of_several_lines_are_read(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text('A,B\n"1,\n""x""",5" probe\n3,4\n')
    assert list(read_rows(table, ("A", "B"))) == [(3, ['1,\n"x"', '5" probe']), (4, ["3", "4"])]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_table_is_named(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.csv: empty file \(expected a first row with the names of columns"):
        list(read_rows(tmp_path / "t.csv", ("A",)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_no_bytes_make_the_readers_crash(tmp_path, content):
    path = tmp_path / "any"
    path.write_bytes(b"A,B\n" + content)
    with contextlib.suppress(DataError):
        for _, cells in read_rows(path, ("A", "B")):
            assert len(cells) == 2
            parse_float(cells[0]), parse_count(cells[1])
    read_pairs(path)


def test_numbers_that_are_not():
    assert parse_float("1e400") is parse_float("nan") is parse_float("") is None
    assert parse_count("46.0") == 46
    assert parse_count("4.5") is parse_count("-1") is None


@pytest.mark.parametrize("path", ["../a", "a/../../b", "/etc/passwd", "C:\\x", "..\\x", "", "a\0b", "\\\\host\\share"])
def test_paths_that_leave_the_root_are_not_inside(path):
    assert not is_inside(path)


@pytest.mark.parametrize("path", ["a.avi", "a/b.avi", "a..b", "./a"])
def test_paths_that_stay_below_the_root_are_inside(path):
    assert is_inside(path)
    assert (Path("/root") / path).resolve().is_relative_to("/root")
