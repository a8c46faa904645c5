"""The figures that the paper of temporal_camus printed (Tables 1 and 2), beside what a study measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.io.load import StudyResults
from analysis.tables.table import Entry, Table

STUDY = "temporal_camus"
PRINTED = Path(__file__).with_name("paper.csv")


def paper_tables(results: StudyResults, phases: Table | None, volumes: Table | None) -> dict[str, Table]:
    """Printed figures behind measured ones in the paper's three parts, a row a network; none for other studies.

    Args:
        results: of the study.
        phases: the table of end-diastole and end-systole.
        volumes: that of volumes.
    """
    name = results.plan.name
    if name != STUDY and not name.startswith(f"{STUDY}-"):
        return {}
    measured: dict[tuple[str, str], float] = {}
    for table in (phases, volumes):
        for row in table.data.to_dict("records") if table is not None else ():
            network = results.plan.cells[row["cell"]].get("network", "")
            for column, value in row.items():
                prefix = f"{row['phase']} " if "phase" in row else ""
                if column not in ("phase", "cell"):
                    measured[network, f"{prefix}{column}"] = float(value)
    data = pd.read_csv(PRINTED)
    found = [measured.get((n, m), float("nan")) for n, m in zip(data["network"], data["measure"], strict=True)]
    data = data.assign(measured=found).dropna(subset=["measured"])
    part = data["measure"].str.extract(r"^(ED|ES) ")[0].fillna("volumes").str.lower()
    return {f"beside_the_paper_{key}": _table(str(key), own) for key, own in data.groupby(part, sort=False)}


def _table(part: str, data: pd.DataFrame) -> Table:
    measures = list(dict.fromkeys(data["measure"]))
    values = {(row.network, row.measure): f"{row.measured:.3f} ({row.printed:g})" for row in data.itertuples()}
    body = tuple(
        (Entry(network), *(Entry(values.get((network, measure), "-")) for measure in measures))
        for network in dict.fromkeys(data["network"])
    )
    source = "Table 2" if part == "volumes" else "Table 1"
    note = f"In brackets: {source} of the paper. Other data, splits or profiles than the paper's are not comparable."
    title = "Volumes beside the paper's" if part == "volumes" else f"{part.upper()} beside the paper's"
    return Table(title, ("network", *(m.removeprefix(f"{part.upper()} ") for m in measures)), body, (note,), data)
