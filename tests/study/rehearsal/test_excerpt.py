import numpy as np
from toys import toy_store

from study.rehearsal.excerpt import PARTS, excerpt


def test_few_subjects_are_evaluated_and_all_are_trained_on():
    store = toy_store(frames=120)  # a frame a subject, 40 in each split
    brief = excerpt(store, {"val": store.rows("val"), "test": store.rows("test")})
    assert (brief.rows("train") == store.rows("train")).all()
    assert len(brief.rows("val")) == PARTS["val"].rows  # enough for a verdict on a pretraining
    assert (brief.rows("test") == store.rows("test")[:2]).all()
    assert len(brief) == len(store)


def test_subjects_are_those_of_the_given_rows():
    store = toy_store(frames=30)
    wanted = store.rows("test")[5:]
    assert (excerpt(store, {"test": wanted}).rows("test") == wanted[:2]).all()


def test_a_split_without_rows_to_choose_from_is_kept_whole():
    store = toy_store(frames=30)
    brief = excerpt(store, {"val": np.zeros(0, np.int64)})
    assert (brief.rows("val") == store.rows("val")).all()
