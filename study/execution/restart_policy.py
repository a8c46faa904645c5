"""Number of restarts allowed per job, and Ray's reports of processes killed for their memory."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_CRASHES = 3
"""Consecutive crashes without a new epoch after which a job fails."""


@dataclass
class RestartPolicy:
    """Crashes of one job and the decision to restart it.

    Attributes:
        epoch: last reported epoch, from 0.
        crashes: consecutive crashes without a new epoch.
        out_of_memory: True if Ray killed the process for its own memory use; a restart would end alike.
        cause: message of the last crash; "" if its process said nothing.
    """

    epoch: int = 0
    crashes: int = 0
    out_of_memory: bool = False
    cause: str = ""
    _crashed_at: int = -1

    def record_epoch(self, epoch: int) -> None:
        """Record a reported epoch; an epoch repeated after a restart does not count as new."""
        self.epoch = max(epoch, self.epoch)

    def record_crash(self, *, out_of_memory: bool, cause: str = "") -> None:
        """Record a crash.

        Args:
            out_of_memory: True if the process was killed for its own memory use.
            cause: message of the process; "" for none.
        """
        self.crashes = self.crashes + 1 if self.epoch <= self._crashed_at else 1
        self._crashed_at = self.epoch
        self.out_of_memory, self.cause = out_of_memory, cause

    @property
    def should_restart(self) -> bool:
        """True if the job may be started again."""
        return not self.out_of_memory and self.crashes < MAX_CRASHES

    @property
    def reason(self) -> str:
        """Reason why the job is not started again."""
        if self.out_of_memory:
            found = f" ({self.cause})" if self.cause else ""
            return f"out of memory on its node{found}. Fix: set fit.recompute or fit.micro_batch, or a smaller batch"
        return f"its process crashed {self.crashes} times" + (f" ({self.cause})" if self.cause else "")


@dataclass(frozen=True)
class MemoryKill:
    """Processes that Ray killed because a node ran low on memory.

    Ray chooses by age and may kill several processes at once, so that small ones are killed with a large one.

    Attributes:
        killed: ids of the killed actors.
        largest: id of the actor with the most memory among those considered; None where Ray names none.
        found: memory of that actor and of the node; "" where Ray names none.
    """

    killed: frozenset[str]
    largest: str | None
    found: str = ""

    @classmethod
    def parse(cls, cause: Exception | None) -> MemoryKill | None:
        """Parse an error's text, which is all that a worker group passes on; return None for other errors."""
        text = str(cause)
        if "running low on memory" not in text:
            return None
        named = re.findall(
            r"^(Selected to kill)?.*?\(Actor\((\w+)\).*actual memory used=([\d.]+)GB", text, re.MULTILINE
        )
        largest = max(named, key=lambda each: float(each[2]), default=None)
        if largest is None:
            return cls(frozenset(), None)
        node = re.search(r"was ([\d.]+)\s?GB(?: used)? / ([\d.]+)\s?GB", text)
        used = f" and all processes {float(node[1]):.1f} of the node's {float(node[2]):.1f} GB" if node else ""
        found = f"its process had {float(largest[2]):.1f} GB{used}"
        return cls(frozenset(actor for chosen, actor, _ in named if chosen), largest[1], found)
