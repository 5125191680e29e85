"""Clients and workers that come and go: after a while the hub process knows exactly who is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions
from wsloop.server.assembly import Options
from wsloop.testing.cluster import MemoryCluster

if TYPE_CHECKING:
    from wsloop.testing.client import MessagingMemoryClient

CHANNEL = "room"

OPTIONS = Options(
    namespaces={
        "": Namespace(presence=True, allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True)
    },
    hub=HubOptions(allow_anonymous=True),
)

SLOT = st.integers(0, 1)
ACTS = st.one_of(
    st.tuples(st.sampled_from(["come", "come", "leave", "vanish", "kill", "cut"]), SLOT),
    st.tuples(st.sampled_from(["little time", "some time"]), st.just(0)),
)


@dataclass
class Guest:
    """A client in the channel, on the worker in `slot`."""

    client: MessagingMemoryClient
    slot: int

    @property
    def id(self) -> str:
        """What the server calls it."""
        connected: Any = self.client.replies[1]
        return str(connected["connect"]["client"])


def come(cluster: MemoryCluster, slot: int) -> Guest:
    worker = cluster.workers[slot]
    client = worker.join()
    number = client.command(subscribe={"channel": CHANNEL})
    cluster.run_until(lambda: number in client.replies)
    return Guest(client, slot)


def present(cluster: MemoryCluster) -> set[str]:
    found: list[set[str]] = []
    cluster.hub.hub.presence.members(CHANNEL, lambda members: found.append(set(members)))  # type: ignore[arg-type]
    return found[0]


@settings(max_examples=25)
@given(st.lists(ACTS, max_size=10), st.integers(0, 99))
def test_whoever_is_there_is_present_and_nobody_else(acts: list[tuple[str, int]], seed: int) -> None:
    with MemoryCluster(2, seed, options=OPTIONS) as cluster:
        guests: list[Guest] = []
        for verb, slot in acts:
            if verb == "come":
                guests.append(come(cluster, slot))
            elif verb in ("leave", "vanish") and guests:
                guest = guests.pop(slot % len(guests))
                guest.client.close() if verb == "leave" else guest.client.reset()
            elif verb == "kill":
                guests = [guest for guest in guests if guest.slot != slot]
                cluster.kill_worker(slot)
                cluster.start_worker(slot)
            elif verb == "cut":
                cluster.cut(slot)
            else:
                cluster.run_for(0.01 if verb == "little time" else 3.0)
        cluster.run_for(10.0)
        assert present(cluster) == {guest.id for guest in guests if not guest.client.is_gone}
        assert len(present(cluster)) == len(guests)
