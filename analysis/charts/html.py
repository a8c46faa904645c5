"""HTML of a chart, made from a template that escapes every text."""

from __future__ import annotations

from markupsafe import Markup

from analysis.charts.chart import Chart
from analysis.charts.drawing import MARKERS, WIDTH, Drawing
from analysis.templates import render


def chart_html(chart: Chart) -> Markup:
    """Return a chart as a figure element with a legend and one inline SVG for each panel."""
    drawings = [Drawing.of(panel) for panel in chart.panels]
    text = render("chart.html.j2", chart=chart, drawings=drawings, markers=MARKERS, width=WIDTH)
    return Markup(text)
