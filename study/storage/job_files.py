"""Readers of a replicate's result files; a missing or damaged one is an error that says how to make it again."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from trainables.common.errors import DataError

TEXT_COLUMNS = {"subject": str, "phase": str}


def read_predictions(path: Path) -> dict[int, np.ndarray]:
    """Return a replicate's predicted masks, uint8 (S, S), by row of the frame store.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with np.load(path) as file:
            return dict(zip(file["rows"].tolist(), file["masks"], strict=True))
    except FileNotFoundError:
        raise DataError(_missing(path)) from None
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(_damaged(path, f"not a valid predictions file ({error})")) from error


def read_test(path: Path) -> pd.DataFrame:
    """Return a replicate's test results, one row per image, with columns `subject`, `row`, `phase` and `dice`.

    Raises:
        DataError: the file is missing or damaged.
    """
    table = read_table(path)
    absent = [name for name in ("subject", "row", "dice") if name not in table.columns]
    if absent:
        raise DataError(_damaged(path, f"column '{absent[0]}' is missing (found {', '.join(table.columns)})"))
    wrong = [name for name in ("row", "dice") if not pd.api.types.is_numeric_dtype(table[name])]
    if wrong or table["row"].isna().any():
        raise DataError(_damaged(path, f"column '{wrong[0] if wrong else 'row'}' has values that are no numbers"))
    return table


def read_table(path: Path) -> pd.DataFrame:
    """Return a table of a replicate's results; subjects and phases are text.

    Raises:
        DataError: the file is missing or no table.
    """
    try:
        return pd.read_csv(path, dtype=TEXT_COLUMNS, keep_default_na=True)
    except FileNotFoundError:
        raise DataError(_missing(path)) from None
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise DataError(_damaged(path, f"not a valid table of results ({error})")) from error


def _missing(path: Path) -> str:
    return (
        f"{path}: file is missing, but the ledger lists this replicate as completed. Fix: study repair {_study(path)}"
    )


def _damaged(path: Path, problem: str) -> str:
    return f"{path}: {problem}. Fix: study repair {_study(path)}"


def _study(path: Path) -> str:
    """Return the name of the study that a file of a job belongs to."""
    return path.parents[2].name
