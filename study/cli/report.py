"""`study report`: writes tables, figures and conclusions."""

from __future__ import annotations

from typing import Annotated

import typer

from study.cli.app import Root, RunName, app, out, workspace


@app.command()
def report(
    name: RunName,
    rows: Annotated[
        list[str] | None,
        typer.Option(help="Factor of the rows. Repeatable (default: all but the column factor)."),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Factor of the columns (default: the label fraction, else the last factor).")
    ] = None,
    margin: Annotated[float, typer.Option(help="Non-inferiority margin in Dice.", min=0.0)] = 0.02,
    root: Root = None,
) -> None:
    """Write the tables, figures and conclusions of a study.

    All of them are also in one HTML page. A running study is reported with its results so far.
    """
    from analysis.report.report import ReportOptions, write_report
    from study.tracking.views import view_path

    place = workspace(root)
    write_report(place.existing_study(name), out, ReportOptions(tuple(rows) if rows else None, columns, margin))
    path = view_path(place, name)
    if path is not None:
        out.print(f"MLflow: mlflow ui --backend-store-uri {place.tracking_uri}", soft_wrap=True)
        out.print(f"  then open http://127.0.0.1:5000{path}", soft_wrap=True, markup=False)
