"""Fields that were added to settings later, and the digests of what was made without them."""

from dataclasses import dataclass, field, fields

from study.config.plain import plain
from trainables.augment.color import Color
from trainables.augment.policy import Policy
from trainables.common.added import ADDED, digested, digested_fields


@dataclass(frozen=True)
class Before:
    size: int = 3


@dataclass(frozen=True)
class After(Before):
    depth: int = field(default=1, metadata=ADDED)


def test_a_field_that_was_added_counts_only_where_it_differs_from_its_default():
    assert digested(After()) == digested(Before()) == {"size": 3}
    assert digested(After(depth=2)) == {"size": 3, "depth": 2}
    assert digested_fields(After(size=1)) == ["size"]


def test_settings_of_a_study_leave_added_fields_out_at_every_depth():
    names = [entry.name for entry in fields(Policy) if entry.name not in ("color", "added")]
    assert list(plain(Policy())) == names
    assert set(plain(Policy(color=Color()))) == {*names, "color"}
