# %% [markdown]
# # Which augmentation helps?
#
# For studies with `design: {kind: one_out}` or `one_in`, such as `augmentation_ablation`: each operation against the base,
# paired by seed and labelled subset. Reads the last such study that ran in the nearest folder `runs`; `STUDY_HOME` and `STUDY`
# name another workspace and study.

# %%
# %matplotlib inline
import os
from pathlib import Path

import pandas as pd
from IPython.display import display

from analysis.figures.differences import differences
from analysis.figures.search import importance, sensitivity
from analysis.io.choose import choose_study
from analysis.io.load import load
from analysis.stats.comparisons import compare
from analysis.stats.importance import importances
from analysis.tables.cells import difference_table
from analysis.tables.grid import arrange

study = choose_study(os.environ, Path.cwd(), prefer="augmentation_ablation")
results = load(study)
grid = arrange(results.plan)
study.name, results.plan.title, results.missing or "finished"

# %%
comparisons = compare(results, grid)
table = difference_table(comparisons)
table.data.sort_values("difference")

# %%
differences(comparisons)

# %% [markdown]
# What is certain after Holm's correction, and how wide the rest still is: a wide interval asks for more replicates or
# subjects (`study extend STUDY --replicates N`), not for a conclusion.

# %%
certain = table.data[table.data["p_holm"] < 0.05]
open_ones = table.data[table.data["p_holm"] >= 0.05].assign(width=lambda t: t["ci_high"] - t["ci_low"])
pd.concat({"certain": certain, "open": open_ones})

# %% [markdown]
# Where the policy was searched instead (`augmentation_search`): which settings mattered.

# %%
importance(importances(results, list(grid.cells.values())), results.plan.metric)

# %%
for column in grid.columns:
    display(sensitivity(results, grid, column))
