# %% [markdown]
# # How few labels are enough?
#
# Non-inferiority to all labels by a margin that you name, and what a pretraining is worth in labels. Reads the last study
# that ran in the nearest folder `runs`; `STUDY_HOME` and `STUDY` name another workspace and study.

# %%
# %matplotlib inline
import os
from pathlib import Path

import pandas as pd

from analysis.figures.labels import dice_vs_labels, label_equivalence_plot
from analysis.io.choose import choose_study
from analysis.io.load import load
from analysis.stats.label_equivalence import efficiency_table, label_equivalence
from analysis.stats.minimal_labels import minimal_labels
from analysis.tables.grid import arrange

MARGIN = 0.02  # of Dice
study = choose_study(os.environ, Path.cwd())
results = load(study)
grid = arrange(results.plan)
study.name, results.plan.title, results.missing or "finished"

# %%
dice_vs_labels(results, grid)

# %% [markdown]
# An amount is enough when the lower end of its paired interval against all labels is above the margin.

# %%
[each.sentence(grid) for each in minimal_labels(results, grid, MARGIN)]

# %%
margins = (0.005, 0.01, 0.02, 0.03, 0.05)
pd.DataFrame({margin: {each.row: each.fewest for each in minimal_labels(results, grid, margin)} for margin in margins})

# %% [markdown]
# The reference's learning curve, a power law fitted anew in every resample, read backwards: how many labels would it need
# for the Dice that a pretraining reaches?

# %%
equivalents = label_equivalence(results, grid)
efficiency_table(grid, equivalents).data

# %%
label_equivalence_plot(grid, equivalents)
