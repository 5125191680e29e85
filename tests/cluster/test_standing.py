"""What holds is said again, all of it, as it is at that moment, in messages of bounded size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsloop.cluster.messages import Announced, Interests, Members
from wsloop.cluster.standing import BATCH, BATCH_BYTES, Joins, Standing

CHANNELS = st.sampled_from(["a", "b", "c"])
CLIENTS = st.sampled_from(["x", "y"])
CHANGES = st.lists(st.tuples(st.integers(0, 7), CHANNELS, CLIENTS), max_size=30)


def change(standing: Standing, kind: int, channel: str, client: str) -> None:
    if kind == 0:
        standing.channels[channel] = 1
    elif kind == 1:
        standing.channels.pop(channel, None)
    elif kind == 2:
        standing.patterns[channel] = 1
    elif kind == 3:
        standing.patterns.pop(channel, None)
    elif kind == 4:
        standing.add_member(channel, client, "user", client.encode())
    elif kind == 5:
        standing.remove_member(channel, client)
    elif kind == 6:
        standing.joins.add(channel, client.encode())
    else:
        standing.joins.remove(channel, client.encode())


@given(CHANGES)
def test_everything_that_holds_is_said_again(changes: list[tuple[int, str, str]]) -> None:
    standing = Standing()
    for each in changes:
        change(standing, *each)
    channels: set[str] = set()
    patterns: set[str] = set()
    members: dict[tuple[str, str], bytes] = {}
    joins: dict[tuple[str, bytes], int] = {}
    for message in standing.again():
        if isinstance(message, Interests):
            channels |= set(message.channels)
            patterns |= set(message.patterns)
        elif isinstance(message, Members):
            members |= {(each.channel, each.client): each.info for each in message.members}
        else:
            assert isinstance(message, Announced)
            joins |= {(each.channel, each.info): each.count for each in message.joins}
    assert channels == set(standing.channels)
    assert patterns == set(standing.patterns)
    held = {
        (name, client): info for name, each in standing.members.items() for client, (_, info) in each.items()
    }
    assert members == held
    assert all(standing.members.values())
    assert joins == {(each.channel, each.info): each.count for each in standing.joins.all()}


@given(CHANGES, CHANGES)
def test_what_was_taken_back_meanwhile_is_not_said_again(
    before: list[tuple[int, str, str]], meanwhile: list[tuple[int, str, str]]
) -> None:
    standing = Standing()
    for each in before:
        change(standing, *each)
    messages = standing.again()
    said = [next(messages, None)]
    for each in meanwhile:
        change(standing, *each)
    for message in messages:
        if isinstance(message, Interests):
            assert set(message.channels) <= set(standing.channels)
            assert set(message.patterns) <= set(standing.patterns)
        elif isinstance(message, Members):
            assert all(each.client in standing.members[each.channel] for each in message.members)
        else:
            assert isinstance(message, Announced)
            assert all(each.count == standing.joins.count(each.channel, each.info) for each in message.joins)
        said.append(message)


def test_messages_are_bounded() -> None:
    standing = Standing()
    for number in range(BATCH * 2 + 1):
        standing.channels[str(number)] = number
        standing.add_member("c", str(number), "user", b"x" * 2000)
    sizes = [len(message.channels) for message in standing.again() if isinstance(message, Interests)]
    assert sizes == [BATCH, BATCH, 1]
    for message in standing.again():
        if isinstance(message, Members):
            assert sum(len(member.info) for member in message.members) < BATCH_BYTES + 2000


def test_two_clients_may_look_alike() -> None:
    joins = Joins()
    joins.add("c", b"{}")
    joins.add("c", b"{}")
    joins.remove("c", b"{}")
    assert (len(joins), joins.count("c", b"{}")) == (1, 1)
    joins.remove("c", b"{}")
    joins.remove("c", b"{}")
    assert (len(joins), joins.count("c", b"{}")) == (0, 0)
