"""Jobs as values that any process can read."""

import json
from dataclasses import replace

from study.planning.jobs import Job, ResourceRequest

TRIAL = Job(
    id="simclr-0.05-trial-3",
    kind="trial",
    stage="downstream",
    cell="method=simclr,label_fraction=0.05",
    levels={"method": "simclr", "label_fraction": "0.05"},
    index=3,
    params={"downstream.fit.optimizer.lr": 1e-3},
    config={"data": "f" * 64},
    digest="d" * 64,
    inputs={"pretext": "a" * 64},
    frames="/frames",
    epochs=4,
    resources=ResourceRequest(workers=2, gpus=0.5),
)


def test_a_job_survives_json():
    assert Job.from_plain(json.loads(json.dumps(TRIAL.plain()))) == TRIAL


def test_labels_name_the_cell_or_the_stage():
    assert TRIAL.label == "simclr 0.05 · trial 3"
    pretext = replace(TRIAL, kind="pretext", stage="pretext", cell=None, levels={"method": "simclr"})
    assert (pretext.label, pretext.shared, TRIAL.shared) == ("pretext simclr dddddd", True, False)
    assert replace(pretext, kind="propagation", levels={}).label == "propagation dddddd"
    assert replace(TRIAL, levels={}).label == "trial · trial 3"
