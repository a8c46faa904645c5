"""The figures that the paper of temporal_camus printed (Tables 1 and 2), beside what a study measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.load import StudyResults
from analysis.render import Entry, Table

STUDY = "temporal_camus"
PRINTED = Path(__file__).with_name("paper.csv")


def paper_table(results: StudyResults, phases: Table | None, volumes: Table | None) -> Table | None:
    """Printed and measured, a row a network and measure; None for other studies.

    Args:
        results: of the study.
        phases: the table of end-diastole and end-systole.
        volumes: that of volumes.
    """
    name = results.plan.name
    if name != STUDY and not name.startswith(f"{STUDY}-"):
        return None
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
    if data.empty:
        return None
    body = tuple(
        (Entry(f"{row.network}, {row.measure}"), Entry(f"{row.printed:g}"), Entry(f"{row.measured:.3f}"))
        for row in data.itertuples()
    )
    note = "Printed: Tables 1 (end-diastole) and 2. Other data, splits or profiles than the paper's are not comparable."
    return Table("Beside the paper", ("network and measure", "printed", "measured"), body, (note,), data)
