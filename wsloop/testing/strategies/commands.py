"""What messaging clients say: commands, and whole sequences of them."""

from __future__ import annotations

from hypothesis import strategies as st

from wsloop.testing.commands import Command, Line, command, line

CHANNELS = ("room", "lobby", "a:b", "#user", "$private", "", "x" * 300)
"""Channels that may and that may not exist; the last is longer than servers allow."""

BAD_LINES = (
    "",
    "{",
    "[]",
    "null",
    "7",
    '"text"',
    '{"id":-1,"ping":{}}',
    '{"id":901}',
    '{"id":902,"nonsense":{}}',
)

EPOCHS = ("", "abcd", "ABCDEFGH", "x" * 300)
"""Epochs: none, some that no stream has, one that is far too long."""

FILTERS: tuple[object, ...] = (
    {"key": "k", "cmp": "eq", "val": "v"},
    {"key": "k", "cmp": "in", "vals": ["v", "w"]},
    {"key": "n", "cmp": "gte", "val": "1.5"},
    {"op": "not", "nodes": [{"key": "k", "cmp": "ex"}]},
    {"op": "and", "nodes": [{"key": "k", "cmp": "sw", "val": "v"}, {"key": "n", "cmp": "lt", "val": "2"}]},
    {"key": "k", "cmp": "like", "val": "v"},
    {"op": "or"},
    [],
    None,
)
"""Filters by tags (`tf`), right and wrong."""


def _chosen(fields: dict[str, st.SearchStrategy[object]]) -> st.SearchStrategy[dict[str, object]]:
    """Draw some of these fields, few of them at a time."""
    return st.fixed_dictionaries({}, optional=fields)


def _subscribes(channel: st.SearchStrategy[str]) -> st.SearchStrategy[Command]:
    """Draw `subscribe` with any of its options, known and unknown types of deltas, filters by tags."""
    options = _chosen(
        {
            "positioned": st.booleans(),
            "recoverable": st.booleans(),
            "join_leave": st.booleans(),
            "recover": st.booleans(),
            "offset": st.integers(0, 5),
            "epoch": st.sampled_from(EPOCHS),
            "delta": st.sampled_from(("fossil", "", "other")),
            "flag": st.integers(0, 3),
            "tf": st.sampled_from(FILTERS),
        }
    )
    return st.builds(lambda name, more: command("subscribe", channel=name, **more), channel, options)


def _publishes(channel: st.SearchStrategy[str]) -> st.SearchStrategy[Command]:
    """Draw `publish` that asks to be done once: under the same names again and again, some too long."""
    seq = st.fixed_dictionaries({"sender": st.sampled_from(("", "s", "s" * 300)), "n": st.integers(-1, 3)})
    once = _chosen({"idem": st.sampled_from(("", "k", "k" * 64, "k" * 65)), "seq": seq})
    return st.builds(lambda name, more: command("publish", channel=name, data=1, **more), channel, once)


def connects(channels: tuple[str, ...] = CHANNELS) -> st.SearchStrategy[Command]:
    """Draw `connect` with id 0: plain, with extensions asked for, with subscriptions that it remembers."""
    position = _chosen(
        {"recover": st.booleans(), "offset": st.integers(0, 5), "epoch": st.sampled_from(EPOCHS)}
    )
    fields = _chosen(
        {
            "flag": st.sampled_from((0, 1 << 20, 1 << 21, 3 << 20)),
            "subs": st.dictionaries(st.sampled_from(channels), position, max_size=2),
        }
    )
    return st.builds(lambda more: command("connect", **more), fields)


def commands(channels: tuple[str, ...] = CHANNELS) -> st.SearchStrategy[Command]:
    """Draw single commands with id 0, every method but `connect`, its fields mostly right."""
    channel = st.sampled_from(channels)
    data = st.none() | st.integers(-5, 5) | st.text(max_size=8) | st.just({"text": "hello"})
    offset, epoch = st.integers(0, 5), st.sampled_from(EPOCHS)
    since = st.builds(lambda offset, epoch: {"offset": offset, "epoch": epoch}, offset, epoch)
    token = st.sampled_from(("", "no.such.token"))
    build = st.builds
    return st.one_of(
        build(lambda name: command("subscribe", channel=name), channel),
        build(lambda name, data: command("publish", channel=name, data=data), channel, data),
        _subscribes(channel),
        _publishes(channel),
        build(lambda name: command("unsubscribe", channel=name), channel),
        build(lambda name: command("presence", channel=name), channel),
        build(lambda name: command("presence_stats", channel=name), channel),
        build(lambda name, limit: command("history", channel=name, limit=limit), channel, st.integers(-1, 3)),
        build(lambda name, since: command("history", channel=name, since=since), channel, since),
        build(
            lambda name, since: command("history", channel=name, limit=-1, since=since, reverse=True),
            channel,
            since,
        ),
        build(
            lambda name, offset, epoch: command(
                "subscribe", channel=name, recover=True, offset=offset, epoch=epoch
            ),
            channel,
            offset,
            epoch,
        ),
        build(
            lambda name, offset, epoch: command("ack", channel=name, offset=offset, epoch=epoch),
            channel,
            offset,
            epoch,
        ),
        build(lambda name, token: command("sub_refresh", channel=name, token=token), channel, token),
        build(lambda token: command("refresh", token=token), token),
        build(lambda data: command("rpc", method="sum", data=data), data),
        build(lambda data: command("send", data=data), data),
        st.just(command("ping")),
    )


@st.composite
def command_sequences(
    draw: st.DrawFn, channels: tuple[str, ...] = CHANNELS, *, max_size: int = 8, bad_lines: bool = False
) -> tuple[Command | Line, ...]:
    """Draw what one client says: `connect`, then commands with ids that count up from 1.

    With `bad_lines`, lines that are no commands may be among them, and commands may come before `connect`.
    """
    said: list[Command | Line] = [
        draw(connects(channels)),
        *draw(st.lists(commands(channels), max_size=max_size)),
    ]
    if bad_lines and draw(st.booleans()):
        said.insert(draw(st.integers(0, len(said))), line(draw(st.sampled_from(BAD_LINES))))
    if bad_lines and draw(st.booleans()):
        said.append(said.pop(0))
    return tuple(
        Command(each.method, each.fields, number)
        if isinstance(each, Command) and each.method != "send"
        else each
        for number, each in enumerate(said, 1)
    )
