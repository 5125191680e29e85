"""Whole conversations, several commands in a breath, with clients that stop reading: who hears what.

What one client sees is judged by the order of its lines alone: each command is answered once and in its turn,
pushes of a channel come between the replies to subscribe and to unsubscribe, and none of them is missing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions
from wsloop.server.assembly import Options
from wsloop.server.messaging import COMMANDS_PER_TURN
from wsloop.testing.network import NetworkFaults
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from wsloop.testing.client import MessagingMemoryClient

CHANNELS = ("news", "talk")

OPTIONS = Options(
    namespaces={
        "": Namespace(
            history_size=100,
            history_ttl_s=300.0,
            force_recovery=True,
            allow_subscribe_for_client=True,
            allow_subscribe_for_anonymous=True,
            allow_publish_for_client=True,
            allow_publish_for_anonymous=True,
        )
    },
    hub=HubOptions(allow_anonymous=True),
)


MOST_TURNS = 5000
"""For all that may be said in a conversation."""


@dataclass(frozen=True)
class Say:
    """A client says a command `times` over."""

    method: str
    channel: str
    times: int = 1
    size: int = 1

    def bodies(self) -> list[dict[str, Any]]:
        """Return the commands, without their numbers."""
        body = {"channel": self.channel} | ({"data": "x" * self.size} if self.method == "publish" else {})
        return [{self.method: body}] * self.times


def says() -> st.SearchStrategy[Say]:
    channel = st.sampled_from(CHANNELS)
    return st.one_of(
        st.builds(Say, st.just("subscribe"), channel),
        st.builds(Say, st.just("unsubscribe"), channel),
        st.builds(Say, st.just("publish"), channel, st.sampled_from([1, 3, 70]), st.just(1)),
        st.builds(Say, st.just("publish"), channel, st.just(1), st.just(20_000)),
    )


WHO = st.integers(0, 1)
ACTS: st.SearchStrategy[tuple[str, int, list[Say]]] = st.one_of(
    st.tuples(st.just("say"), WHO, st.lists(says(), min_size=1, max_size=3)),
    st.tuples(st.just("say"), WHO, st.lists(says(), min_size=1, max_size=3)),
    st.tuples(st.just("turn"), st.integers(1, 3), st.just([])),
    st.tuples(st.sampled_from(["pause", "go on"]), WHO, st.just([])),
)


@dataclass
class Listener:
    """What one client has said, and what of its lines may come next."""

    client: MessagingMemoryClient
    asked: dict[int, tuple[str, str]] = field(default_factory=dict)
    answered: int = 0
    offsets: dict[str, int] = field(default_factory=dict)
    """Of the last publication, in each channel that it is in."""
    seen: int = 0

    def say(self, said: list[Say]) -> None:
        """Say all of it in one frame."""
        lines = []
        for body in (body for each in said for body in each.bodies()):
            number = 100 + len(self.asked)
            (method,) = body
            self.asked[number] = (method, body[method]["channel"])
            lines.append(json.dumps({"id": number, **body}))
        self.client.send_text("\n".join(lines))

    def judge(self) -> None:
        """Look at the lines that have come since the last time."""
        texts, self.seen = self.client.texts[self.seen :], len(self.client.texts)
        for line in (json.loads(line) for text in texts for line in text.split("\n")):
            if "push" in line:
                self._push(line["push"])
            elif line.get("id", 0) >= 100:
                self._reply(line)

    def _push(self, push: dict[str, Any]) -> None:
        channel, offset = push["channel"], push["pub"]["offset"]
        assert channel in self.offsets, f"a push of {channel}, which it is not in"
        assert offset == self.offsets[channel] + 1, f"{offset} of {channel} after {self.offsets[channel]}"
        self.offsets[channel] = offset

    def _reply(self, reply: dict[str, Any]) -> None:
        assert reply["id"] == 100 + self.answered, f"{reply} where {100 + self.answered} is due"
        self.answered += 1
        method, channel = self.asked[reply["id"]]
        if method == "subscribe" and "error" not in reply:
            self.offsets[channel] = reply["subscribe"]["offset"]
        elif method == "unsubscribe":
            self.offsets.pop(channel, None)


def turn(house: MemoryServer, times: int = 1) -> None:
    """Turn the loop; in no turn more is done for a client than its share."""
    for _ in range(times):
        before = house.hub.commands_total
        house.reactor.run_once()
        assert house.hub.commands_total - before <= 2 * COMMANDS_PER_TURN, "over the budget of a turn"


@settings(max_examples=100)
@given(st.lists(ACTS, max_size=14), st.booleans(), st.sampled_from([None, 900]), st.integers(0, 99))
def test_each_client_sees_replies_in_order_and_pushes_where_it_is(
    acts: list[tuple[str, int, list[Say]]], are_in: bool, max_write_bytes: int | None, seed: int
) -> None:
    faults = NetworkFaults(max_write_bytes=max_write_bytes)
    with MemoryServer(seed, options=OPTIONS, faults=faults) as house:
        listeners = [Listener(house.join()) for _ in range(2)]
        for listener in listeners if are_in else ():
            listener.say([Say("subscribe", channel) for channel in CHANNELS])
        for act, number, said in acts:
            listener = listeners[number % 2]
            if act == "say" and not listener.client.is_gone:
                listener.say(said)
            elif act == "turn":
                turn(house, number)
            elif act == "pause":
                listener.client.stop_reading()
            elif act == "go on":
                listener.client.resume_reading()
        for listener in listeners:
            listener.client.resume_reading()
        alarm: list[None] = []
        house.reactor.call_later(2.0, lambda: alarm.append(None))
        for _ in range(MOST_TURNS):
            if alarm:
                break
            turn(house)
        assert alarm, "the loop does not come to rest"
        tops = {name: house.ask(house.join(), subscribe={"channel": name})["subscribe"] for name in CHANNELS}
        for listener in listeners:
            listener.judge()
            assert not listener.client.is_gone
            assert listener.answered == len(listener.asked), "not everything was answered"
            for channel, offset in listener.offsets.items():
                assert tops[channel]["offset"] == offset, f"it never heard the newest of {channel}"  # type: ignore[index]
        assert house.reactor.statistics().errors == 0
