"""Connections that end at any moment, from either side or both: one close frame, and nothing behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions
from wsloop.server.assembly import CONNECTION_PATH, Options
from wsloop.testing.client import OPCODE_CLOSE, MessagingMemoryClient
from wsloop.testing.network import NetworkFaults
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = Options(
    namespaces={
        "": Namespace(
            history_size=10,
            force_positioning=True,
            history_ttl_s=60.0,
            allow_subscribe_for_client=True,
            allow_subscribe_for_anonymous=True,
        )
    },
    hub=HubOptions(allow_anonymous=True),
)

ACTS = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 4)),
    st.tuples(st.just("turn"), st.integers(1, 3)),
    st.tuples(
        st.sampled_from(
            [
                "server closes",
                "client closes",
                "client resets",
                "client breaks a rule",
                "pause",
                "go on",
                "ping",
            ]
        ),
        st.just(1),
    ),
)


GIVEN_UP_S = 60.0
"""More than a ping's interval and the time for its answer."""


class Wiretap(MessagingMemoryClient):
    """Keeps every byte that came behind the handshake."""

    wire = b""

    def _receive(self, data: bytes) -> None:
        before = len(self.http)
        was_open = self.is_open
        super()._receive(data)
        if was_open:
            self.wire += data
        elif self.is_open:
            self.wire += data[len(self.http) - before :]


def frames(wire: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield opcode and payload of each whole frame of a server's."""
    while len(wire) >= 2:
        start, length = 2, wire[1]
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(wire[2:start], "big")
        if len(wire) < start + length:
            return
        yield wire[0] & 0x0F, wire[start : start + length]
        wire = wire[start + length :]


@settings(max_examples=60)
@given(st.lists(ACTS, max_size=12), st.sampled_from([None, 30]), st.integers(0, 99))
def test_a_close_frame_is_the_last_and_comes_once_and_nothing_is_left_of_who_is_gone(
    acts: list[tuple[str, int]], max_write_bytes: int | None, seed: int
) -> None:
    faults = NetworkFaults(max_delay_s=0.01, max_write_bytes=max_write_bytes)
    with MemoryServer(seed, options=OPTIONS, faults=faults) as house:
        timers_at_rest = house.reactor.statistics().timers
        client = house.dial(Wiretap)
        client.upgrade(CONNECTION_PATH)
        client.command(connect={})
        number = client.command(subscribe={"channel": "news"})
        house.run_until(lambda: number in client.replies)
        (connection,) = house.server.registry.snapshot()
        for verb, count in acts:
            if verb == "publish":
                for _ in range(count):
                    house.hub.publish("news", b'"%s"' % (b"x" * 20_000))
            elif verb == "turn":
                for _ in range(count):
                    house.reactor.run_once()
            elif verb == "server closes":
                connection.shut_down()
            elif client.is_gone:
                continue
            elif verb == "pause":
                client.stop_reading()
            elif verb == "go on":
                client.resume_reading()
            elif verb == "ping":
                client.send_ping(b"?")
            elif verb == "client resets":
                client.reset()
            elif verb == "client closes":
                client.send_close()
            else:
                client.send_frame(0x3, b"")
        client.resume_reading()
        house.run_for(6.0)
        opcodes = [opcode for opcode, _ in frames(client.wire)]
        assert OPCODE_CLOSE not in opcodes[:-1], "something follows the close frame"
        if not house.server.registry.snapshot():
            assert house.reactor.statistics().timers == timers_at_rest
        if not client.is_gone:
            client.vanish()
        house.run_for(GIVEN_UP_S)
        assert house.server.registry.snapshot() == [], "a dead peer is still there"
        assert house.reactor.statistics().timers == timers_at_rest
        assert house.reactor.statistics().errors == 0
