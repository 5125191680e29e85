"""Which clients a user has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub.users import Users


@dataclass(eq=False)
class Somebody:
    """As much of a client as `Users` looks at."""

    user: str
    id: str = field(default="")

    def __post_init__(self) -> None:
        self.id = f"{id(self):x}"


STEPS = st.lists(st.tuples(st.sampled_from(["", "ann", "ben"]), st.integers(0, 5)), max_size=40)
"""A user, and 0-3 to come, or 4-5 for the oldest to go."""


@given(STEPS)
def test_users_are_a_dict_of_lists_without_the_anonymous(steps: list[tuple[str, int]]) -> None:
    users: Any = Users()
    model: dict[str, list[Somebody]] = {"": [], "ann": [], "ben": []}
    for user, choice in steps:
        if choice < 4:
            model[user].append(Somebody(user))
            users.add(model[user][-1])
        elif model[user]:
            users.remove(model[user].pop(0))
        assert users.of(user) == ([] if user == "" else model[user])
    assert len(users) == sum(1 for user in ("ann", "ben") if model[user])


def test_to_forget_somebody_unknown_is_nothing() -> None:
    users: Any = Users()
    known = Somebody("ann")
    users.add(known)
    users.remove(Somebody("ann"))
    users.remove(Somebody("ben"))
    assert users.of("ann") == [known]
