import pytest

from analysis.io.pretraining_names import job_name, pretraining_names

SIMCLR, BYOL = {"a" * 12: "simclr", "b" * 12: "simclr"}, {"c" * 12: "byol"}


def names(
    cells: dict[str, dict[str, str]], starts: dict[str, dict[int, str]], methods: dict[str, str] | None = None
) -> dict[str, str]:
    found = pretraining_names(cells, starts, {**SIMCLR, **BYOL} if methods is None else methods)
    return {digest[0]: str(name) for digest, name in found.items()}


def digest(letter: str) -> str:
    return letter * 64


def test_a_pretraining_has_the_levels_that_its_cells_share_and_others_do_not_have() -> None:
    cells = {
        f"{policy} {labels}": {"policy": policy, "labels": labels, "network": "unet"}
        for policy in ("strong", "weak")
        for labels in ("3", "20")
    }
    starts = {cell: {0: digest("a" if levels["policy"] == "strong" else "b")} for cell, levels in cells.items()}
    assert names(cells, starts) == {"a": "strong", "b": "weak"}


def test_pretrainings_that_differ_by_their_seed_are_numbered_in_the_order_of_the_replicates() -> None:
    cells = {"simclr": {"method": "simclr"}, "byol": {"method": "byol"}}
    starts = {"simclr": {0: digest("b"), 1: digest("a"), 2: digest("b")}, "byol": {0: digest("c")}}
    found = names(cells, starts)
    assert found == {"b": "simclr, pretraining 1", "a": "simclr, pretraining 2", "c": "byol"}


def test_numbers_have_their_factor_and_methods_are_named_where_there_are_several() -> None:
    cells = {"one": {"rate": "0.1"}, "two": {"rate": "0.2"}}
    starts = {"one": {0: digest("a")}, "two": {0: digest("c")}}
    assert names(cells, starts) == {"a": "simclr, rate 0.1", "c": "byol, rate 0.2"}


def test_switches_have_their_factor() -> None:
    cells = {"one": {"crop": "on", "speckle": "off"}, "two": {"crop": "off", "speckle": "off"}}
    starts = {"one": {0: digest("a")}, "two": {0: digest("b")}}
    assert names(cells, starts) == {"a": "crop on", "b": "crop off"}


def test_one_pretraining_has_the_name_of_its_method() -> None:
    assert names({"x": {"method": "level"}}, {"x": {0: digest("a")}}) == {"a": "simclr"}
    assert names({"x": {"method": "level"}}, {"x": {0: digest("a")}}, {}) == {"a": "pretraining"}


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (f"pretext-simclr-{'a' * 12}", "strong"),
        ("pretext-global_local-0a1b2c3d4e5f", "global_local"),  # no replicate starts from it
        ("other", "other"),
    ],
)
def test_a_job_has_the_name_of_its_pretraining(job: str, expected: str) -> None:
    cells = {"strong": {"policy": "strong"}, "weak": {"policy": "weak"}}
    found = pretraining_names(cells, {"strong": {0: digest("a")}, "weak": {0: digest("b")}}, SIMCLR)
    assert str(job_name(found, job)) == expected
