# %% [markdown]
# # SimCLR or BYOL?
#
# Reads the last study that ran in the nearest folder `runs`, finished or not; `STUDY_HOME` and `STUDY` name another workspace
# and study. With `MLFLOW_TRACKING_URI` the last cells read the same study from a tracking store.

# %%
# %matplotlib inline
import os
from pathlib import Path

import pandas as pd

from analysis.figures.curves import learning_curves
from analysis.figures.labels import dice_vs_labels
from analysis.figures.paired import paired_subjects
from analysis.io.choose import choose_study
from analysis.io.load import load
from analysis.stats.comparisons import compare, difference_of
from analysis.tables.cells import cell_table
from analysis.tables.grid import arrange
from study.tracking.reader import jobs_from_mlflow

study = choose_study(os.environ, Path.cwd())
results = load(study)
grid = arrange(results.plan)
study.name, results.plan.title, results.missing or "finished"

# %% [markdown]
# Mean test Dice with its 95% interval over subjects and replicates.

# %%
cell_table(results).data

# %% [markdown]
# Each start against a random one, Holm-corrected over all of them.

# %%
[comparison.sentence for comparison in compare(results, grid)]

# %% [markdown]
# BYOL against SimCLR directly, paired on the same subjects, seeds and labelled subsets.

# %%
pairs = [
    (byol, simclr, column)
    for column in grid.columns
    for simclr in grid.rows
    for byol in grid.rows
    if simclr.startswith("simclr") and byol == simclr.replace("simclr", "byol", 1)
]
found = {pair: difference_of(results, grid, (pair[0], pair[2]), (pair[1], pair[2])) for pair in pairs}
pd.DataFrame(
    [
        {"byol": b, "simclr": s, "labels": c, "difference": d.estimate.mean, "low": d.estimate.low,
         "high": d.estimate.high, "d": d.effect, "p": d.p_value}
        for (b, s, c), d in found.items()
        if d is not None
    ]
)  # fmt: skip

# %%
dice_vs_labels(results, grid)

# %%
paired_subjects(results, grid)

# %%
learning_curves(results, grid)

# %% [markdown]
# The same from MLflow, which may be a server that the study is still reporting to.

# %%
uri = os.environ.get("MLFLOW_TRACKING_URI")
jobs = jobs_from_mlflow(uri, study.name) if uri else results.jobs
done = jobs[(jobs["kind"] == "replicate") & (jobs["status"] == "completed")]
done.groupby(list(results.plan.factors))["test/dice"].agg(["mean", "std", "count"]) if len(done) else done
