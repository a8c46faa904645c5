# %% [markdown]
# # Are the segmentations consistent over time?
#
# For studies that segment whole sequences, such as `temporal_camus`. Reads the last such study that ran
# in the nearest folder `runs`; `STUDY_HOME` and `STUDY` name another workspace and study.

# %%
# %matplotlib inline
import os
from pathlib import Path

from analysis.io.choose import choose_study
from analysis.io.load import load
from analysis.temporal.claims import overlap_claims, pseudo_label_claims, smoothness_claims
from analysis.temporal.figures import area_curves, bland_altman, quality_by_position, smoothness_boxes
from analysis.temporal.read import read_temporal
from analysis.temporal.tables import phase_table, quality_table, smoothness_table, volume_table
from trainables.data.store.frames import FrameStore

study = choose_study(os.environ, Path.cwd(), prefer="temporal")
results = load(study)
temporal = read_temporal(results)
study.name, results.plan.title, results.missing or "finished"

# %% [markdown]
# Pseudo-labels against the truth, where there is one, by the way they were carried.

# %%
quality = quality_table(temporal)
quality.data if quality is not None else "no true masks between the ends"

# %%
quality_by_position(temporal)

# %%
claims = [*pseudo_label_claims(temporal), *smoothness_claims(results, temporal), *overlap_claims(results, temporal)]
[claim.sentence for claim in claims]

# %%
[table.data for table in (phase_table(results), smoothness_table(results, temporal)) if table is not None]

# %%
smoothness_boxes(results, temporal)

# %%
area_curves(results, temporal, FrameStore.open(results.plan.frames)) if results.plan.frames else None

# %% [markdown]
# Ejection fractions, where both ends of the cycle are there.

# %%
volumes = volume_table(results, temporal)
volumes.data if volumes is not None else "no volumes"

# %%
bland_altman(results, temporal)
