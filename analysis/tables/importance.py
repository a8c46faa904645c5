"""Table of the importance of searched settings."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from analysis.stats.importance import Importances
from analysis.tables.cells import short_names
from analysis.tables.table import Entry, Table


def importance_table(found: Importances) -> Table | None:
    """Return each setting's share of the variance with its interval; None where there are no shares."""
    if not found.shares:
        return None
    short = short_names([each.setting for each in found.shares])
    body = tuple(
        (
            Entry(short[each.setting]),
            Entry(f"{each.share:.0%} ({each.low:.0%} to {each.high:.0%})", strong=each in found.mattered),
        )
        for each in found.shares
    )
    notes = (
        f"fANOVA over {found.sample}, within cells; 95% bootstrap intervals over trials. Bold: the whole interval "
        f"exceeds {found.chance:.1%}, the 95th percentile of the share of a further setting with permuted values.",
    )
    data = pd.DataFrame(
        [{**asdict(each), "chance": found.chance, "mattered": each in found.mattered} for each in found.shares]
    )
    header = ("setting", "share of the variance (95% CI)")
    return Table("Importance of the searched settings", header, body, notes, data)
