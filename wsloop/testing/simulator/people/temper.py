"""What people of a town are like: drawn once for each, and true of them in all that they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


class Temper:
    """What distinguishes one person from another in what they do; drawn once.

    `pause_s` between two errands; `capacity_bytes` of what is under way to them; `token_s`: how long their
    tokens are good, 0 for ever, and whether they renew them in time. `nods`: they read nothing every now and
    then. `is_quick`: they answer some of what they hear before the server has told the others.
    """

    __slots__ = (
        "answers", "capacity_bytes", "deflates", "is_quick", "nods", "pause_s", "plain_share", "renews",
        "seq_share", "token_s",
    )  # fmt: skip

    def __init__(self, chance: Random) -> None:
        self.pause_s = chance.choice((0.004, 0.02, 0.02, 0.1, 1.0, 9.0))
        self.capacity_bytes = chance.choice((1_500, 65_536, 65_536))
        self.nods = chance.random() < 0.25
        self.renews = chance.random() < 0.7
        self.token_s = chance.choice((0, 0, 6, 15))
        self.answers = chance.random() < 0.9
        self.deflates = chance.random() < 0.2
        self.plain_share = chance.choice((0.0, 0.2))
        self.seq_share = chance.choice((0.0, 0.5))
        self.is_quick = chance.random() < 0.3
