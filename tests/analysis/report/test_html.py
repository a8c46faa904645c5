"""The page in a real browser, where there is one."""

import html
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_results import FakeStudy
from PIL import Image
from rich.console import Console

from analysis.charts.chart import Chart, Panel, Point, Series
from analysis.charts.html import chart_html
from analysis.report.captions import caption
from analysis.report.design import Fact
from analysis.report.html import FirstScreen, compact_png, render_page
from analysis.report.report import write_report
from analysis.report.section import Section
from analysis.tables.table import Entry, Table
from tests.analysis.described import described

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")

SIZES = {"desktop": (1280, 800), "phone": (390, 800)}

LOOK = """
<script>
addEventListener("load", () => {
  const bottom = id => document.getElementById(id).getBoundingClientRect().bottom;
  const scrolls = element =>
    element && (getComputedStyle(element).overflowX === "auto" || scrolls(element.parentElement));
  const wide = [...document.body.querySelectorAll("*")].filter(
    element => element.getBoundingClientRect().right > innerWidth + 1 && !scrolls(element));
  const said = { answer: bottom("answer"), design: bottom("design") };
  said.wide = wide.map(element => element.outerHTML.slice(0, 80));
  const shown = [...document.images].map(image => image.complete && image.naturalWidth > 0);
  said.pictures = shown.length;
  said.broken = shown.filter(ok => !ok).length;
  said.scroll = document.documentElement.scrollWidth - innerWidth;
  said.requests = performance.getEntriesByType("resource").filter(entry => !entry.name.startsWith("data:")).length;
  said.background = getComputedStyle(document.querySelector("figure")).backgroundColor;

  const tip = document.getElementById("tip");
  const panel = document.querySelector(".panel");
  const points = [...panel.querySelectorAll(".point")];
  points[0].scrollIntoView({ block: "center" });
  const box = points[0].getBoundingClientRect();
  const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  const move = new PointerEvent("pointermove", { clientX: x, clientY: y, bubbles: true });
  document.elementFromPoint(x, y).dispatchEvent(move);
  said.hover = getComputedStyle(tip).display + " " + tip.textContent;
  said.inside = tip.getBoundingClientRect().right <= innerWidth;
  panel.dispatchEvent(new PointerEvent("pointerleave"));
  said.left = getComputedStyle(tip).display;
  points[0].focus();
  points[0].dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  said.keyboard = document.activeElement === points[1] && points[1].tabIndex === 0;
  document.querySelectorAll(".legend button")[0].click();
  const group = document.querySelector("g[data-series]");
  said.toggled = getComputedStyle(group).display;
  document.querySelectorAll(".legend button")[0].click();
  said.again = getComputedStyle(group).display;
  parent.postMessage({ name: window.name, said }, "*");
});
</script>
"""

FRAMES = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script>
addEventListener("message", event => {
  const place = document.createElement("pre");
  place.id = event.data.name;
  place.textContent = JSON.stringify(event.data.said);
  document.body.append(place);
});
</script><body>"""


def opened(path: Path, tmp_path: Path) -> tuple[dict[str, Any], str]:
    """The page's account of itself in frames of several sizes, without a network, and the browser's console."""
    (tmp_path / "looked_at.html").write_text(path.read_text().replace("</head>", f"{LOOK}</head>"))
    frames = [
        f'<iframe name="{name}" width="{width}" height="{height}" style="border: 0" src="looked_at.html"></iframe>'
        for name, (width, height) in SIZES.items()
    ]
    copy = tmp_path / "frames.html"
    copy.write_text(FRAMES + "".join(frames))
    words = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    words += ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    words += [
        f"--user-data-dir={tmp_path / 'browser'}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--window-size=1300,1700",
        "--virtual-time-budget=10000",
    ]
    ran = subprocess.run([*words, copy.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    found = re.findall(r'<pre id="(\w+)">(.*?)</pre>', ran.stdout, flags=re.DOTALL)
    console = "\n".join(line for line in ran.stderr.splitlines() if "CONSOLE" in line)
    return {name: json.loads(html.unescape(text)) for name, text in found}, console


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Report of a searched study that records its data and design."""
    folder = FakeStudy(subjects=6).write(tmp_path_factory.mktemp("page"))
    described(folder)
    return write_report(folder, Console(quiet=True)) / "report.html"


@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
def test_a_browser_shows_all_of_it_without_a_network(page: Path, tmp_path: Path) -> None:
    found, console = opened(page, tmp_path)
    assert console == ""
    assert set(found) == set(SIZES)
    for said in found.values():
        assert said["pictures"] == len(list(page.parent.glob("*.png")))
        assert said["broken"] == 0
        assert said["requests"] == 0
        assert said["scroll"] <= 0
        assert said["wide"] == []
        assert said["hover"].startswith("block ")
        assert "random, trial 0 (completed): val/dice 0.8000; strength 0; lr 0.001" in said["hover"]
        assert said["inside"]
        assert said["left"] == "none"
        assert said["keyboard"]
        assert (said["toggled"], said["again"]) == ("none", "inline")
        assert said["background"] == "rgb(255, 255, 255)"
    assert found["desktop"]["answer"] < found["desktop"]["design"] <= 800
    assert not re.search(r'(src|href)="(?!data:|#)', page.read_text())


def test_figures_have_captions_that_say_what_they_show(page: Path) -> None:
    text = page.read_text()
    for name in (path.stem for path in page.parent.glob("*.png")):
        kind, _, amount = name.rpartition("_")
        drawn_by_amount = kind in ("sensitivity", "parallel_coordinates")
        said = f"{caption(kind)[:-1]} at {100 * float(amount):g}% labels." if drawn_by_amount else caption(name)
        assert f'alt="{name.replace("_", " ")}"' not in text
        assert f'alt="{html.escape(said, quote=True).replace("&#x27;", "&#39;")}"' in text


def test_large_images_are_stored_with_a_palette_that_keeps_their_look() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 1), dtype=np.uint8)
    image = Image.fromarray(np.repeat(noise, 3, axis=2))
    large = io.BytesIO()
    image.save(large, format="PNG", compress_level=0)
    small = compact_png(large.getvalue())
    assert len(small) < len(large.getvalue()) / 2
    shown = np.asarray(Image.open(io.BytesIO(small)).convert("RGB"), dtype=np.int16)
    assert np.abs(shown - np.asarray(image, dtype=np.int16)).mean() < 3
    assert compact_png(b"short") == b"short"


def test_wide_tables_scroll_and_print_rules_keep_their_columns(page: Path) -> None:
    text = page.read_text()
    screen, printed = text.split("@media print")
    assert ".table { overflow-x: auto; }" in screen
    assert ".table { overflow: visible; }" in printed
    assert "break-after: avoid" in printed
    assert "prefers-color-scheme: dark" in screen


def test_text_of_a_study_is_no_markup() -> None:
    table = Table("a < b", ("<i>",), ((Entry("</td>", strong=True),),), ("x & y",), data=None)  # type: ignore[arg-type]
    first = FirstScreen("<script>alert(1)</script>", "<b>", ["<i>"], [Fact("<img>", "<b>")], ["<b>"])
    text = render_page(first, [Section("S", ("<img src=x>",), {"t": table})], {})
    assert not re.search(r"<(script|b|i|img)\b", text)
    assert "<strong>&lt;/td&gt;</strong>" in text


def test_text_of_a_chart_is_no_markup() -> None:
    series = Series('<b>"', "#000000", "o", (Point(0, 1, "<script>"),))
    text = chart_html(Chart("<i>", (Panel("<u>", "<s>", "<em>", (series,), levels=("<q>",)),)))
    assert not re.search(r"<(script|b|i|u|s|em|q)\b", text)
    assert "<title>&lt;script&gt;</title>" in text
