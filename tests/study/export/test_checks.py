import numpy as np
import pytest

from study.export.checks import compare_forms, compare_with_study, example_arguments
from trainables.common.errors import UserError


def test_weights_that_do_not_give_the_studys_masks_are_refused(networks):
    cell = networks.cell
    path = cell.folder.job(cell.replicates[0].job).predictions
    kept = path.read_bytes()
    with np.load(path) as stored:
        np.savez_compressed(path, rows=stored["rows"], masks=1 - stored["masks"])
    try:
        with pytest.raises(UserError, match=r"pixels differ from the study's masks \(50%\)"):
            compare_with_study(networks)
    finally:
        path.write_bytes(kept)


def test_a_form_that_differs_is_refused(networks):
    graph = networks.graph()
    given = example_arguments(networks.cell, graph)
    assert [tuple(each[0].shape) for each in given] == [(6, 1, 64, 64), (6, 1, 129, 192), (6, 1, 63, 33)]
    text = compare_forms("same", lambda arguments: graph(*arguments).detach().numpy(), graph, given)
    assert text.startswith("same: largest difference of a probability 0, 0 of ")
    with pytest.raises(UserError, match=r"other: largest difference of a probability 0\.01"):
        compare_forms("other", lambda arguments: graph(*arguments).detach().numpy() + 0.01, graph, given)
