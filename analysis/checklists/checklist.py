"""Items of a reporting checklist, and their table with a study's answers."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.tables.table import Entry, Table

ITEMS = Path(__file__).with_name("claim.csv")
TITLE = "CLAIM 2024 checklist"
SOURCE = (
    "CLAIM 2024 Update (Tejani et al., Radiology: Artificial Intelligence 2024), 44 items, here in our words; beside "
    "them the items of TRIPOD+AI (Collins et al., BMJ 2024) that ask for the same. Check both against the published "
    "lists."
)


@dataclass(frozen=True)
class Item:
    """One item of a checklist.

    Attributes:
        number: number of the item.
        section: part of a manuscript.
        topic: content that the item asks for.
        tripod_ai: item of TRIPOD+AI that asks for the same.
        answer: name of the answer that a study's records give; empty where they know nothing of it.
        authors: content that the authors have to add; empty where the records say all.
    """

    number: int
    section: str
    topic: str
    tripod_ai: str
    answer: str
    authors: str


def claim_items() -> list[Item]:
    """Return the 44 items of CLAIM 2024 in their order."""
    with ITEMS.open(newline="", encoding="utf-8") as file:
        return [Item(int(row.pop("number")), **row) for row in csv.DictReader(file)]


def checklist_table(items: list[Item], answers: Mapping[str, str]) -> Table:
    """Return the items with the answers of the study, and what is left to the authors.

    Args:
        items: items in their order.
        answers: texts by the name of the answer; an empty text counts as none.
    """
    filled = {item.number: answers.get(item.answer, "") for item in items}
    known = sum(map(bool, filled.values()))
    data = pd.DataFrame(
        {
            "item": [item.number for item in items],
            "section": [item.section for item in items],
            "topic": [item.topic for item in items],
            "tripod_ai": [item.tripod_ai for item in items],
            "from_the_study": [filled[item.number] for item in items],
            "for_the_authors": [_authors(item, bool(filled[item.number])) for item in items],
        }
    )
    header = ("item", "section", "topic", "TRIPOD+AI", "from the study", "for the authors")
    body = tuple(tuple(Entry(str(value) or "-") for value in row) for row in data.itertuples(index=False))
    open_items = sum(data["for_the_authors"] != "")
    counted = (
        f"{known} of {len(items)} items have an answer from the study's records; "
        f"{open_items} items need something from the authors."
    )
    return Table(TITLE, header, body, (counted, SOURCE), data, prose=True)


def _authors(item: Item, known: bool) -> str:
    return "not recorded by this study" if not item.authors and not known else item.authors
