from analysis.stats.ablation import ablation_sentences
from analysis.stats.comparisons import Comparison
from analysis.stats.intervals import Difference, Estimate


def change(row: str, low: float, high: float, p: float, column: str = "") -> Comparison:
    estimate = Estimate((low + high) / 2, low, high, 30, 6)
    return Comparison(row, "base", column, f"{column} labels", Difference(estimate, p, -1.0), p)


def test_significant_changes_are_named_and_the_rest_bounded():
    changes = [
        change("crop off", -0.04, -0.02, 0.001),
        change("blur off", -0.01, 0.02, 0.4),
        change("haze off", 0.001, 0.006, 0.2),
    ]
    assert ablation_sentences(changes) == [
        "Compared with base, 1 of 3 changes are significant: crop off (-0.030, 95% CI -0.040 to -0.020). "
        "The 95% intervals of the other changes span -0.010 to +0.020 Dice."
    ]


def test_sentences_name_their_columns():
    found = ablation_sentences([change("crop off", -0.04, -0.02, 0.001, "5%"), change("crop off", -1, 1, 1.0, "25%")])
    assert found[0].startswith("Compared with base at 5% labels, 1 of 1 changes are significant: crop off")
    assert found[1].startswith("Compared with base at 25% labels, 0 of 1 changes are significant. The 95% intervals")
