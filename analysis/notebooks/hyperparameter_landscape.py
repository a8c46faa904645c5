# %% [markdown]
# # What did the search see?
#
# Reads the last study that ran in the nearest folder `runs`; `STUDY_HOME` and `STUDY` name another workspace and study. With
# `MLFLOW_TRACKING_URI` the trials are read from a tracking store, of a study that may still run.

# %%
# %matplotlib inline
import os
from dataclasses import replace
from pathlib import Path

from IPython.display import display

from analysis.figures.search import importance, parallel_coordinates, pareto, sensitivity
from analysis.io.choose import choose_study
from analysis.io.load import load
from analysis.stats.importance import importances
from analysis.stats.trials import searched
from analysis.tables.cells import chosen_table, trial_table
from analysis.tables.grid import arrange
from study.tracking.reader import jobs_from_mlflow

study = choose_study(os.environ, Path.cwd())
results = load(study)
uri = os.environ.get("MLFLOW_TRACKING_URI")
if uri:
    results = replace(results, jobs=jobs_from_mlflow(uri, study.name))
grid = arrange(results.plan)
trials = results.of_kind("trial")
study.name, results.plan.title, trials["status"].value_counts().to_dict()

# %% [markdown]
# Trials that were stopped early are censored: they are drawn hollow, where they were when they were stopped, and count in
# no mean.

# %%
trial_table(results).data

# %%
chosen_table(results).data

# %%
for column in grid.columns:
    display(sensitivity(results, grid, column))

# %%
importance(importances(results, list(grid.cells.values())), results.plan.metric)

# %%
for column in grid.columns:
    display(parallel_coordinates(results, grid, column))

# %% [markdown]
# Dice against what a trial cost.

# %%
pareto(results, grid, {f"val/{results.plan.metric}": -1, "seconds": 1}) if "seconds" in trials else None

# %% [markdown]
# The completed trials of each cell, best first, as a table to go on with.

# %%
best = trials[trials["status"] == "completed"].sort_values(f"val/{results.plan.metric}", ascending=False)
best[["cell", "index", f"val/{results.plan.metric}", *(f"param/{name}" for name in searched(best))]].head(20)
