"""The page in a real browser, where there is one."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from analysis.report.html import Opening, render_page
from analysis.report.report import write_report
from analysis.report.section import Section
from analysis.tables.table import Entry, Table

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")

LOOK = """
<script>
addEventListener("load", () => {
  const shown = [...document.images].map(image => image.complete && image.naturalWidth > 0);
  document.body.dataset.pictures = shown.length;
  document.body.dataset.broken = shown.filter(ok => !ok).length;
  const opening = [...document.querySelectorAll("header .answer, header dl")];
  document.body.dataset.opening = Math.round(Math.max(0, ...opening.map(part => part.getBoundingClientRect().bottom)));
  document.body.dataset.wide = document.documentElement.scrollWidth - innerWidth;
});
</script>
"""


def opened(path: Path, tmp_path: Path, width: int = 1280) -> tuple[str, str]:
    """The page's document after it has loaded without a network, and what the browser's console said."""
    copy = tmp_path / "looked_at.html"
    copy.write_text(path.read_text().replace("</head>", f"{LOOK}</head>"))
    words = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    words += [
        f"--user-data-dir={tmp_path / 'browser'}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--window-size={width},800",
    ]
    ran = subprocess.run([*words, copy.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return ran.stdout, "\n".join(line for line in ran.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
def test_a_browser_shows_all_of_it_without_a_network(make_study, tmp_path):
    folder = write_report(make_study(subjects=6), Console(quiet=True))
    document, console = opened(folder / "report.html", tmp_path)
    assert console == ""
    found = dict(re.findall(r'data-(pictures|broken|wide|opening)="(-?\d+)"', document))
    assert 100 < int(found["opening"]) <= 800  # the answer and the box of the design, without scrolling
    assert int(found["pictures"]) == len(list(folder.glob("*.png")))
    assert found["broken"] == "0"
    assert int(found["wide"]) <= 0
    assert not re.search(r'(src|href)="(?!data:|#)', document)


def test_text_of_a_study_is_no_markup():
    table = Table("a < b", ("<i>",), ((Entry("</td>", strong=True),),), ("x & y",), data=None)  # type: ignore[arg-type]
    opening = Opening(["<i>"], [("<dt>", "<b>")], ["<b>"])
    text = render_page("<script>alert(1)</script>", opening, [Section("S", ("<img src=x>",), {"t": table})], {})
    assert not re.search(r"<(script|b|i|img)\b", text)
    assert "<strong>&lt;/td&gt;</strong>" in text
