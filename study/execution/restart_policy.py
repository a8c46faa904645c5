"""How often a job's process may die before the job is a failed one."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_DEATHS = 3
"""Deaths of a job's process, without an epoch gained between them, that make it a failed job."""


@dataclass
class RestartPolicy:
    """How often a job's process has died, and what of.

    Attributes:
        epoch: the last that was reported.
        deaths: since an epoch was last reached that was new.
        out_of_memory: whether Ray killed it for its memory; the same again would end the same way.
    """

    epoch: int = 0
    deaths: int = 0
    out_of_memory: bool = False
    _died_at: int = -1

    def record_crash(self, *, out_of_memory: bool) -> None:
        """Count one more; `out_of_memory` if it was its own memory for which it was killed."""
        self.deaths = self.deaths + 1 if self.epoch <= self._died_at else 1
        self._died_at = self.epoch
        self.out_of_memory = out_of_memory

    @property
    def should_restart(self) -> bool:
        """Whether to start it again."""
        return not self.out_of_memory and self.deaths < MAX_DEATHS

    @property
    def reason(self) -> str:
        """Why it is not started again."""
        return "it ran out of the node's memory" if self.out_of_memory else f"its process died {self.deaths} times"


@dataclass(frozen=True)
class MemoryKill:
    """What Ray says of processes that it killed because a node had little memory left.

    It chooses by how long they have run and may take several at once, so that small ones fall with a large one.

    Attributes:
        killed: the actors that it killed.
        largest: of all actors that it considered, the one with most memory; None where it names none.
    """

    killed: frozenset[str]
    largest: str | None

    @classmethod
    def of(cls, cause: Exception | None) -> MemoryKill | None:
        """From an error's text, which is all that a group of workers passes on; None for any other error."""
        text = str(cause)
        if "running low on memory" not in text:
            return None
        named = re.findall(
            r"^(Selected to kill)?.*?\(Actor\((\w+)\).*actual memory used=([\d.]+)GB", text, re.MULTILINE
        )
        largest = max(named, key=lambda each: float(each[2]), default=None)
        return cls(frozenset(actor for chosen, actor, _ in named if chosen), largest[1] if largest else None)
