"""What a process of the daemon is, and what it was handed by the one that started it.

One worker is one process, ALONE, without a supervisor. With several, the supervisor forks a HUB, which
runs the broker of all and answers on the admin listener, and WORKERs, which hold the clients. All of
them run `serving.serve`; a role is the difference.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wsloop.daemon.steward import Steward

if TYPE_CHECKING:
    from wsloop.daemon.compose import Secrets
    from wsloop.transport.bind import Bind


class Kind(enum.Enum):
    """The kinds of processes that serve."""

    ALONE = "alone"
    WORKER = "worker"
    HUB = "hub"


@dataclass(frozen=True, slots=True)
class Role:
    """One process's part.

    `binds` are where clients are served, `admin` the operator's software, `control` the operator's own
    hands (`wsloop ctl`); those that the starter opened already are `FdBind`s. `slot` numbers the workers
    from 0; `workers` is how many there are. `link_path` is the Unix socket on which the hub process
    answers workers; the hub process is handed it listening, as the descriptor `link_fd`. `banner` is printed
    once the process serves, if it is not empty; `steward` is told of it. `secrets`: keys and certificates
    that were read by the starter; None: they are read from the files. `kept` is what an earlier hub
    process has left of its metrics (`observe/ledger.py`). `is_successor`: the daemon takes the place of
    another, which drains.
    """

    kind: Kind = Kind.ALONE
    binds: tuple[Bind, ...] = ()
    admin: Bind | None = None
    control: Bind | None = None
    slot: int = 0
    workers: int = 1
    link_path: str = ""
    link_fd: int = -1
    banner: tuple[str, ...] = ()
    steward: Steward = field(default_factory=Steward)
    secrets: Secrets | None = None
    kept: bytes = b""
    is_successor: bool = False

    @property
    def name(self) -> str:
        """What the process is called in logs and metrics: "alone", "worker-0", "hub"."""
        return f"worker-{self.slot}" if self.kind is Kind.WORKER else self.kind.value
