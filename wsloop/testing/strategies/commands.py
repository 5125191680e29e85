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


def commands(channels: tuple[str, ...] = CHANNELS) -> st.SearchStrategy[Command]:
    """Draw single commands with id 0, every method but `connect`, its fields mostly right."""
    channel = st.sampled_from(channels)
    data = st.none() | st.integers(-5, 5) | st.text(max_size=8) | st.just({"text": "hello"})
    offset, epoch = st.integers(0, 5), st.sampled_from(("", "abcd"))
    since = st.builds(lambda offset, epoch: {"offset": offset, "epoch": epoch}, offset, epoch)
    token = st.sampled_from(("", "no.such.token"))
    build = st.builds
    return st.one_of(
        build(lambda name: command("subscribe", channel=name), channel),
        build(lambda name, data: command("publish", channel=name, data=data), channel, data),
        build(lambda name: command("unsubscribe", channel=name), channel),
        build(lambda name: command("presence", channel=name), channel),
        build(lambda name: command("presence_stats", channel=name), channel),
        build(lambda name, limit: command("history", channel=name, limit=limit), channel, st.integers(-1, 3)),
        build(lambda name, since: command("history", channel=name, since=since), channel, since),
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
    said: list[Command | Line] = [command("connect"), *draw(st.lists(commands(channels), max_size=max_size))]
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
