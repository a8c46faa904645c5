"""Published results of temporal_camus (Tables 1 and 2), compared with a study's own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.io.load import StudyResults
from analysis.tables.table import Entry, Table

STUDY = "temporal_camus"
PRINTED = Path(__file__).with_name("paper.csv")


def paper_tables(results: StudyResults, phases: Table | None, volumes: Table | None) -> dict[str, Table]:
    """Return measured and published values in the paper's three parts, one row per network; empty for other studies.

    Args:
        results: results of the study.
        phases: table of Dice and distances at end-diastole and end-systole.
        volumes: table of volumes and ejection fraction.
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
    return {f"published_{key}": _table(str(key), own) for key, own in data.groupby(part, sort=False)}


def _table(part: str, data: pd.DataFrame) -> Table:
    measures = list(dict.fromkeys(data["measure"]))
    values = {(row.network, row.measure): f"{row.measured:.3f} ({row.printed:g})" for row in data.itertuples()}
    body = tuple(
        (Entry(network), *(Entry(values.get((network, measure), "-")) for measure in measures))
        for network in dict.fromkeys(data["network"])
    )
    source = "Table 2" if part == "volumes" else "Table 1"
    note = f"In parentheses: {source} of the paper. Only comparable with the paper's own data, splits and profile."
    title = f"Measured and published {'volumes' if part == 'volumes' else part.upper()}"
    return Table(title, ("network", *(m.removeprefix(f"{part.upper()} ") for m in measures)), body, (note,), data)
