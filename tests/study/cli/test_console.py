"""No content of a file steers the terminal: controls are shown as escapes, markup and emoji codes as they are."""

import io

import pytest
from rich.table import Table
from rich.text import Text

from study.cli.console import OutputConsole, printable
from study.cli.main import guarded
from study.word_table import WordTable
from trainables.common.errors import DataError

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\r[bold]x[/] :heart: [link=file:///x]y[/link] \u202etxt"


def printed(*renderables: object, **options: object) -> str:
    console = OutputConsole()
    console.file = io.StringIO()
    for renderable in renderables:
        console.print(renderable, **options)
    return console.file.getvalue()


def table(kind: type[Table] | type[WordTable]) -> Table | WordTable:
    made = Table("name") if kind is Table else WordTable(("name",))
    made.add_row(Text(EVIL))
    return made


@pytest.mark.parametrize("what", [Text(EVIL), table(Table), table(WordTable)], ids=["text", "table", "words"])
def test_controls_become_escapes_wherever_they_are(what):
    shown = printed(what)
    assert not set(shown) & set("\x1b\x07\x9b\r\u202e")
    assert "\\x1b[2J" in shown
    assert ":heart:" in shown
    assert "[bold]x[/]" in shown


def test_plain_lines_and_styles_stay():
    assert printed("one\ntwo", markup=False) == "one\ntwo\n"
    console = OutputConsole()
    console._color_system, console.file = None, io.StringIO()
    console.print("[bold]x[/] é 心")
    assert console.file.getvalue() == "x é 心\n"
    assert printable("tab\tend\n") == "tab\\tend\n"


def test_an_error_shows_what_a_file_holds_as_it_is(capsys):
    def fail() -> None:
        raise DataError(f"FileList.csv: {EVIL}")

    assert guarded(fail) == 2
    shown = capsys.readouterr().err
    assert not set(shown) & set("\x1b\x07\x9b\r\u202e")
    assert "\\x1b]0;owned\\x07" in shown
    assert "[bold]x[/] :heart: [link=file:///x]y[/link]" in shown
