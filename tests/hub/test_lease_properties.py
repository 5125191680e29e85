"""Clients whose rights end come, renew, and go: a lease runs for each that is there, and for nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hub.test_refreshing import GRACE_S, TTL_S, Scene

if TYPE_CHECKING:
    from tests.hub.support import Peer

ACTS = st.one_of(
    st.tuples(st.just("come"), st.sampled_from(["ann", "ann later", "ann forever"])),
    st.tuples(st.just("refresh"), st.sampled_from(["ann", "ann later", "ann forever", "bob"])),
    st.tuples(st.just("subscribe"), st.sampled_from(["a while", "for ever"])),
    st.tuples(st.sampled_from(["unsubscribe", "leave", "some time", "long time"]), st.just("")),
)


def running(scene: Scene) -> int:
    """How many leases run."""
    return len({lease for _, _, lease in scene.world.hub.expiries._heap if lease.is_running})


def held(peers: list[Peer]) -> int:
    """How many leases the clients that are there hold, themselves or by their subscriptions."""
    clients = [peer.client for peer in peers]
    return sum(client.lease is not None for client in clients) + sum(
        subscription.lease is not None for client in clients for subscription in client.subscriptions.values()
    )


def act(scene: Scene, peers: list[Peer], verb: str, token: str, pick: int) -> None:
    if verb == "come":
        peer = scene.world.open()
        peer.ask("connect", token=token)
        peers.append(peer)
        return
    if verb.endswith("time"):
        scene.pass_s(10 if verb == "some time" else TTL_S + GRACE_S + 1)
    elif peers:
        peer = peers[pick % len(peers)]
        if verb == "refresh":
            peer.ask("refresh", token=token)
        elif verb == "subscribe":
            scene.verifier.subscriptions[token] = scene.token(ttl_s=TTL_S if token == "a while" else 0)
            peer.ask("subscribe", channel="c", token=token)
        elif verb == "unsubscribe":
            peer.ask("unsubscribe", channel="c")
        else:
            peers.remove(peer)
            peer.client.closed()
    for gone in [peer for peer in peers if peer.close_code is not None]:
        peers.remove(gone)
        gone.client.closed()


@settings(max_examples=60)
@given(st.lists(st.tuples(ACTS, st.integers(0, 9)), max_size=20))
def test_leases_run_for_those_who_are_there_and_for_nobody_else(
    acts: list[tuple[tuple[str, str], int]],
) -> None:
    scene = Scene()
    peers: list[Peer] = []
    for (verb, token), pick in acts:
        act(scene, peers, verb, token, pick)
        assert running(scene) == held(peers)
    for peer in peers:
        peer.client.closed()
    assert running(scene) == 0
