"""Tests of the terminal table: narrow before folded, folded before cut."""

import io

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from study.word_table import WordTable

HEADER = ("comparison", "difference in Dice", "p (Holm)", "subjects")
ROWS = (("simclr - random", "+0.280 (-1.000 to +1.000)", "0.25", "4"), ("byol - random", "-0.013", "1.00", "4"))
WORDS = {word for row in (HEADER, *ROWS) for cell in row for word in cell.split()}


def lines(width: int, *, ruled: bool) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=width).print(WordTable(HEADER, list(ROWS), ruled=ruled))
    return text.getvalue().splitlines()


@pytest.mark.parametrize("ruled", [False, True])
def test_a_table_with_enough_room_has_one_line_a_row(ruled):
    found = lines(200, ruled=ruled)
    assert all(any(cell in line for line in found) for row in (HEADER, *ROWS) for cell in row)
    assert len(found) == (len(ROWS) + 1 + 3 * ruled)


@pytest.mark.parametrize("ruled", [False, True])
@pytest.mark.parametrize("width", [44, 50, 60, 67])
def test_a_narrow_table_folds_between_words(width, ruled):
    found = lines(width, ruled=ruled)
    assert max(map(len, found)) <= width
    assert {word for line in found for word in line.replace("│", " ").replace("┃", " ").split()} >= WORDS


def test_titles_fold_before_values():
    found = lines(60, ruled=False)
    assert any(ROWS[0][0] in line and ROWS[0][1] in line for line in found)
    assert not any("p (Holm)" in line for line in found)


def test_rules_are_left_out_where_values_would_fold_for_them():
    assert any("│" in line for line in lines(67, ruled=True))
    found = lines(60, ruled=True)
    assert not any("│" in line for line in found)
    assert any(ROWS[0][1] in line for line in found)


def test_a_word_is_cut_only_where_all_of_them_are_too_wide_together():
    found = lines(30, ruled=False)
    assert max(map(len, found)) <= 30
    assert "".join("".join(found).split())


def test_brackets_are_text():
    text = io.StringIO()
    table = WordTable(())
    table.add_row("[red]x", "[0.9, 0.99]")
    Console(file=text, width=80).print(table)
    assert text.getvalue().split("\n")[0].split("  ") == ["[red]x", "[0.9, 0.99]"]


@pytest.mark.parametrize("header", [(), ("name", "Größe", "")])
def test_a_table_of_short_strings_has_the_lines_of_richs_own(header):
    rows = [("plain", "[red]x", "1"), ("", "深度 wide", "22"), ("é", " ", "")]
    theirs = Table(box=None, pad_edge=False, show_header=bool(header))
    for title in header or [""] * 3:
        theirs.add_column(title)
    for row in rows:
        theirs.add_row(*map(Text, row))
    texts = []
    for table in (WordTable(header, list(rows)), theirs):
        out = io.StringIO()
        Console(file=out, width=80).print(table)
        texts.append(out.getvalue())
    assert texts[0] == texts[1]
