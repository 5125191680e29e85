"""Pings to a peer, and from it, while it reads or does not: which are answered, and how many at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions
from wsloop.loop.poller import WRITE
from wsloop.server.assembly import Options
from wsloop.testing.memory_socket import CAPACITY_BYTES
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from wsloop.server.connection import Connection

FILL_BYTES = CAPACITY_BYTES + 20_000
"""More than the network holds, and less than what makes the server read no more."""

ACTS = st.one_of(
    st.tuples(st.just("ping"), st.integers(1, 6)),
    st.tuples(st.just("ping"), st.integers(1, 6)),
    st.tuples(st.just("stop"), st.just(0)),
    st.tuples(st.just("go on"), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 5)),
)


def only_connection(house: MemoryServer) -> Connection:
    (connection,) = house.server.registry.snapshot()
    return connection


@settings(max_examples=60)
@given(st.lists(ACTS, max_size=12), st.integers(0, 99))
def test_the_latest_ping_is_always_answered_and_one_of_a_burst_if_the_pongs_are_not_taken(
    acts: list[tuple[str, int]], seed: int
) -> None:
    with MemoryServer(seed, options=Options(dev=True)) as house:
        client = house.connect("/echo")
        connection = only_connection(house)
        sent: list[bytes] = []
        most = 0
        for verb, number in acts:
            if verb == "ping":
                # In one send: one read, as long as the network does not cut.
                is_full = bool(connection._interest & WRITE)
                burst = [b"%d" % (len(sent) + each) for each in range(number)]
                for payload in burst:
                    client.send_ping(payload)
                sent += burst
                most += 1 if is_full else number
                house.run_for(0.5 * number)
            elif verb == "stop" and client.reads:
                client.stop_reading()
                client.send_binary(bytes(FILL_BYTES))
                house.run_for(0.1)
            elif verb == "go on":
                client.resume_reading()
                house.run_for(0.1)
            else:
                house.run_for(float(number))
        client.resume_reading()
        house.run_for(1.0)
        assert client.pongs == [payload for payload in sent if payload in client.pongs], "in their order"
        assert client.pongs[-1:] == sent[-1:], "the latest was not answered"
        assert len(client.pongs) <= most, "too many were answered"


TALK = Options(
    namespaces={
        "": Namespace(
            slow_policy="drop-oldest", allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True
        )
    },
    hub=HubOptions(allow_anonymous=True),
)


STEP_S = 2.0
"""Between two looks of a slow reader: several of them within a ping's time to be answered."""


@settings(max_examples=20)
@given(st.lists(st.integers(0, 30), min_size=30, max_size=40))
def test_a_peer_that_reads_a_little_now_and_then_is_pinged_and_never_found_dead(bursts: list[int]) -> None:
    with MemoryServer(options=TALK) as house:
        client = house.join()
        house.ask(client, subscribe={"channel": "talk"})
        for number in bursts:
            client.stop_reading()
            for _ in range(number):
                house.hub.publish("talk", b'"%s"' % (b"x" * 10_000))
            house.run_for(STEP_S)
            # What the network holds, and no more: the rest waits in the server.
            client.resume_reading()
            house.reactor.run_once()
        assert not client.is_gone, client.close_frame
        assert client.heartbeats
