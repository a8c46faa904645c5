from pathlib import Path

import pytest

from analysis.io.load import PlannedStudy
from analysis.tables.grid import arrange
from trainables.common.errors import UserError


def plan(**factors: tuple[str, ...]) -> PlannedStudy:
    cells: dict[str, dict[str, str]] = {"": {}}
    for factor, levels in factors.items():
        cells = {f"{key},{factor}={v}".strip(","): {**old, factor: v} for key, old in cells.items() for v in levels}
    return PlannedStudy("s", "S", factors, cells, "dice", {}, Path("frames"), ("background", "lv"))


def test_label_fraction_goes_across_and_the_rest_down() -> None:
    grid = arrange(plan(label_fraction=("1", "0.05"), method=("random", "simclr"), network=("unet", "deeplabv3")))
    assert grid.columns == ("1", "0.05")
    assert grid.rows == ("random, unet", "random, deeplabv3", "simclr, unet", "simclr, deeplabv3")
    assert grid.references == {"simclr, unet": "random, unet", "simclr, deeplabv3": "random, deeplabv3"}
    assert grid.cells["simclr, unet", "0.05"] == "label_fraction=0.05,method=simclr,network=unet"
    assert (grid.smallest, grid.column_title("0.05")) == ("0.05", "5% labels")


def test_any_factor_across() -> None:
    grid = arrange(plan(method=("random", "byol"), label_fraction=("0.05",)), rows="label_fraction", columns="method")
    assert (grid.rows, grid.columns, grid.references) == (("0.05",), ("random", "byol"), {})
    assert grid.smallest == "random"
    assert grid.column_title("byol") == "method byol"


def test_an_ablation_is_compared_with_its_base_and_named_by_what_is_changed() -> None:
    cells = {
        f"method={m},crop={c},flip={f}": {"method": m, "crop": c, "flip": f}
        for m in ("simclr", "byol")
        for c, f in (("on", "on"), ("off", "on"), ("on", "off"))
    }
    factors = {"method": ("simclr", "byol"), "crop": ("on", "off"), "flip": ("on", "off")}
    base = {"crop": "on", "flip": "on"}
    grid = arrange(PlannedStudy("s", "S", factors, cells, "dice", {}, Path("f"), ("background", "lv"), base))
    assert grid.columns == ("",)
    assert grid.rows[:3] == ("simclr, base", "simclr, crop off", "simclr, flip off")
    assert grid.references["byol, flip off"] == "byol, base"
    assert "byol, base" not in grid.references


def test_a_study_without_factors_is_one_cell() -> None:
    grid = arrange(plan())
    assert (grid.rows, grid.columns, list(grid.cells.values())) == (("all",), ("",), [""])


def test_one_factor_goes_down() -> None:
    assert arrange(plan(method=("simclr", "random"))).rows == ("simclr", "random")


def test_a_misspelt_factor_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="no factor 'metod'; did you mean 'method'"):
        arrange(plan(method=("a", "b")), rows="metod")


def test_a_factor_left_out_is_refused() -> None:
    with pytest.raises(UserError, match="factor 'network' of study 's' has 2 levels"):
        arrange(plan(method=("a",), network=("u", "d"), label_fraction=("1",)), rows="method")


def test_levels_that_all_rows_share_are_not_in_their_titles() -> None:
    grid = arrange(plan(method=("random", "simclr"), network=("unet",), labels=("3", "20")))
    assert grid.rows == ("random", "simclr")
    assert grid.references == {"simclr": "random"}
    assert arrange(plan(network=("unet",))).rows == ("unet",)
