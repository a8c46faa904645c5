"""Events of a study: one frozen dataclass for each kind of line in the ledger, and its JSON form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from study.planning.jobs import Outcome
from trainables.common.learning import Learning


@dataclass(frozen=True)
class Event:
    """Base class of the ledger's events.

    Attributes:
        time: Seconds since the Unix epoch, set by the ledger when it appends the event; 0 before that.
    """

    time: float = field(default=0.0, kw_only=True)


@dataclass(frozen=True)
class PriorRead(Event):
    """Trials of earlier studies with which a cell's search begins.

    Attributes:
        cell: Key of the cell.
        params: Value of each searched setting by dotted path, for each trial.
        values: Value of each objective, for each trial.
    """

    cell: str
    params: Sequence[Mapping[str, Any]]
    values: Sequence[Sequence[float]]


@dataclass(frozen=True)
class TrialAsked(Event):
    """A configuration that the sampler proposed for a cell's next trial.

    Attributes:
        cell: Key of the cell whose search asked for it.
        index: Number of the trial in its cell, from 0.
        params: Value of each searched setting, by dotted path.
        system_attrs: Optuna's system attributes of the trial, which its sampler reads again on replay.
        timing: Length of the trial on the search's virtual clock (`study.scheduling.virtual_clock.Timing`); empty in
            ledgers of earlier versions.
    """

    cell: str
    index: int
    params: Mapping[str, Any]
    system_attrs: Mapping[str, Any]
    timing: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchPlanned(Event):
    """The number of trials of a cell's search, at its beginning and after each extension.

    Attributes:
        cell: Key of the cell.
        trials: Number of trials.
        workers: Workers of the virtual clock on which the search decides.
    """

    cell: str
    trials: int
    workers: int


@dataclass(frozen=True)
class EpochReported(Event):
    """A running trial's validation metric after an epoch.

    Attributes:
        job: Identifier of the trial's job.
        cell: Key of the trial's cell.
        index: Number of the trial in its cell, from 0.
        epoch: Epochs trained so far, from 1.
        value: Validation metric after that epoch, larger is better.
    """

    job: str
    cell: str
    index: int
    epoch: int
    value: float


@dataclass(frozen=True)
class ProbeReported(Event):
    """A running pretraining's probe metric, recorded for one trial that waits for this pretraining.

    Attributes:
        cell: Key of the waiting trial's cell.
        index: Number of the waiting trial in its cell, from 0.
        epoch: Epochs pretrained so far, including those of earlier pretrainings in a chain.
        value: Probe metric after that epoch, larger is better.
    """

    cell: str
    index: int
    epoch: int
    value: float


@dataclass(frozen=True)
class JobFinished(Event):
    """The end of a job: completed, stopped early or failed.

    Attributes:
        job: Identifier of the job, unique in the study.
        kind: kind of the job, for example "trial".
        cell: Key of the job's cell; None for a job that cells share.
        index: Number of the trial or replicate in its cell, from 0; 0 for a shared job.
        params: Value of each searched setting, by dotted path; empty for a shared job.
        digest: Digest of the job's configuration, which is the address of its artifact.
        outcome: Status, metrics and duration of the job.
    """

    job: str
    kind: str
    cell: str | None
    index: int
    params: Mapping[str, Any]
    digest: str
    outcome: Outcome


@dataclass(frozen=True)
class PretrainingReused(Event):
    """A pretraining that an earlier study of the workspace made, and from which jobs of this one start.

    Attributes:
        job: Identifier of the job that made it.
        digest: Address of its artifact.
        learning: Verdict on it.
    """

    job: str
    digest: str
    learning: Learning


@dataclass(frozen=True)
class JobRetried(Event):
    """A request to run a failed job again.

    Attributes:
        job: Identifier of the job, unique in the study.
        kind: kind of the job, for example "trial".
        cell: Key of the job's cell; None for a job that cells share.
        index: Number of the trial or replicate in its cell, from 0; 0 for a shared job.
        digest: Digest of the job's configuration, which is the address of its artifact.
    """

    job: str
    kind: str
    cell: str | None
    index: int
    digest: str

    @classmethod
    def of(cls, finished: JobFinished) -> JobRetried:
        """Build the request to run the job of `finished` again."""
        return cls(finished.job, finished.kind, finished.cell, finished.index, finished.digest)


@dataclass(frozen=True)
class JobLost(JobRetried):
    """The loss of a finished job's files, so that it runs again; the attributes are those of `JobRetried`."""


@dataclass(frozen=True)
class ConfigurationChosen(Event):
    """The configuration that a cell's replicates train with.

    Attributes:
        cell: Key of the cell that has ended its search.
        index: Number of the best trial; None where nothing is searched.
        params: Value of each searched setting of that trial, by dotted path.
    """

    cell: str
    index: int | None
    params: Mapping[str, Any]

    def supersedes(self, finished: JobFinished) -> bool:
        """Return True for a replicate of this cell that trained with another configuration."""
        same_cell = finished.kind == "replicate" and finished.cell == self.cell
        return same_cell and finished.params != self.params


@dataclass(frozen=True)
class CellReopened(Event):
    """The withdrawal of a cell's choice because its search was given more trials.

    Attributes:
        cell: Key of the cell that goes back to searching.
    """

    cell: str


@dataclass(frozen=True)
class TimeSpent(Event):
    """Time that counts against the study's budget.

    Attributes:
        seconds: Wall-clock seconds since the last such event of this launch.
        gpu_seconds: Seconds times the GPUs of the jobs that ran meanwhile.
    """

    seconds: float
    gpu_seconds: float


class UnsafeName(ValueError):
    """Identifier in an event that would lead out of the folder of jobs or artifacts."""


E = TypeVar("E", bound=Event)

EVENTS: Mapping[str, type[Event]] = {
    "prior_read": PriorRead,
    "search_planned": SearchPlanned,
    "trial_asked": TrialAsked,
    "epoch_reported": EpochReported,
    "probe_reported": ProbeReported,
    "job_finished": JobFinished,
    "pretraining_reused": PretrainingReused,
    "job_retried": JobRetried,
    "job_lost": JobLost,
    "configuration_chosen": ConfigurationChosen,
    "cell_reopened": CellReopened,
    "time_spent": TimeSpent,
}
"""Event class by the name that the ledger writes."""

OPTIONAL: Mapping[type, frozenset[str]] = {Outcome: frozenset({"learning", "host"}), TrialAsked: frozenset({"timing"})}
"""Fields that the record of a class may lack: ledgers from before they existed stay readable."""

_FIELDS: dict[type, frozenset[str]] = {}
"""Names of the fields of each class."""

_NAMES = {kind: name for name, kind in EVENTS.items()}


def events_of_type(events: Iterable[Event], kind: type[E]) -> Iterator[E]:
    """Yield the events of one class, in order."""
    return (event for event in events if isinstance(event, kind))


def to_record(event: Event) -> dict[str, Any]:
    """Return an event as JSON-able values, with its name under "event"."""
    return {"event": _NAMES[type(event)], **asdict(event)}


def from_record(record: Mapping[str, Any]) -> Event:
    """Return the event that `to_record` turned into JSON-able values.

    Raises:
        UnsafeName: An identifier is no name of a folder.
        ValueError: The event or one of its fields is unknown, or a field is missing.
    """
    name = str(record.get("event"))
    if name not in EVENTS:
        raise ValueError(f"unknown event (found '{name}', expected one of {', '.join(EVENTS)})")
    kind = EVENTS[name]
    values = {key: value for key, value in record.items() if key != "event"}
    _check_fields(name, values, kind)
    _check_names(name, values)
    if kind is JobFinished:
        _check_fields(f"{name}.outcome", values["outcome"], Outcome)
        values["outcome"] = Outcome.from_plain(values["outcome"])
    if kind is PretrainingReused:
        _check_fields(f"{name}.learning", values["learning"], Learning)
        values["learning"] = Learning(**values["learning"])
    return kind(**values)


def _check_names(name: str, values: Mapping[str, Any]) -> None:
    """Refuse the identifier of a job or an artifact that would lead out of the folder of jobs or artifacts."""
    for part in ("job", "digest"):
        found = values.get(part, "name")
        if not isinstance(found, str) or found in ("", ".", "..") or set(found) & {"/", "\0"}:
            raise UnsafeName(f"{name}.{part} is '{found}', expected the name of a folder")


def _check_fields(name: str, values: Mapping[str, Any], kind: type[Event | Outcome | Learning]) -> None:
    expected = _FIELDS.setdefault(kind, frozenset(part.name for part in fields(kind)))
    if values.keys() == expected:
        return
    if not expected - OPTIONAL.get(kind, frozenset()) <= set(values) <= expected:
        text = f"fields of {name} do not match (found {', '.join(sorted(values))}"
        raise ValueError(f"{text}; expected {', '.join(sorted(expected))})")
