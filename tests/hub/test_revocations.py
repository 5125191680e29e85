"""Rights that are taken back: the lists against a model, and what clients see of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.hub.scripted import ScriptedBackend, ScriptedVerifier
from tests.hub.support import Peer, World
from wsloop.hub import blocking, revocations
from wsloop.hub.grants import Identity, SubscriptionGrant, SubscriptionToken
from wsloop.hub.options import HubOptions
from wsloop.hub.revocations import FOREVER, Refusal, RevocationError, Revocations

NAMES = st.sampled_from(("a", "b", "c"))
STEPS = st.tuples(
    st.sampled_from(("block", "unblock", "revoke", "invalidate")), NAMES, st.integers(0, 5), st.integers(0, 9)
)


def noted(steps: list[tuple[str, str, int, int]]) -> Revocations:
    lists = Revocations()
    for now_s, (what, name, for_s, before_s) in enumerate(steps, 1):
        until_s = now_s + for_s if for_s else FOREVER
        if what == "block":
            lists.block_user(name, until_s, now_s)
        elif what == "revoke":
            lists.revoke_token(name, until_s, now_s)
        elif what == "invalidate":
            lists.invalidate_user_tokens(name, before_s, until_s, now_s)
    return lists


@given(st.lists(STEPS, max_size=30))
def test_the_lists_hold_what_a_model_holds(steps: list[tuple[str, str, int, int]]) -> None:
    lists = Revocations()
    model: dict[tuple[str, str], tuple[float, int]] = {}
    for now_s, (what, name, for_s, before_s) in enumerate(steps, 1):
        until_s = now_s + for_s if for_s else FOREVER
        if what == "block":
            lists.block_user(name, until_s, now_s)
        elif what == "unblock":
            lists.unblock_user(name)
            model.pop(("block", name), None)
        elif what == "revoke":
            lists.revoke_token(name, until_s, now_s)
        else:
            lists.invalidate_user_tokens(name, before_s, until_s, now_s)
        if what == "invalidate":
            end, before = model.get((what, name), (until_s, before_s))
            if end == FOREVER or now_s < end:
                before_s = max(before, before_s)
                until_s = FOREVER if FOREVER in (end, until_s) else max(end, until_s)
        if what != "unblock":
            model[what, name] = (until_s, before_s)
        if now_s % 3 == 0:
            lists.expire(now_s)
        held = {key: value for key, value in model.items() if value[0] == FOREVER or now_s < value[0]}
        for user in "abc":
            for issued_at in (0, 4, 9):
                right = Identity(user, issued_at=issued_at, token_id=user.upper().lower())
                expected = None
                if ("block", user) in held:
                    expected = Refusal.BLOCKED
                elif ("revoke", user) in held or issued_at < held.get(("invalidate", user), (0, 0))[1]:
                    expected = Refusal.REVOKED
                assert lists.refusal(right, now_s) is expected
        lists.expire(now_s)
        assert len(lists) == len(held)


def test_nobody_and_no_token_cannot_be_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = Revocations()
    for name in ("", "x" * 256):
        with pytest.raises(RevocationError):
            lists.block_user(name, FOREVER, 1)
    monkeypatch.setattr(revocations, "MAX_ENTRIES", 2)
    lists.block_user("a", 5, 1)
    lists.block_user("b", FOREVER, 1)
    with pytest.raises(RevocationError, match="already"):
        lists.block_user("c", FOREVER, 1)
    lists.block_user("a", 4, 1)
    lists.block_user("c", FOREVER, 6)
    assert lists.refusal(Identity(""), 1) is None


def test_what_is_noted_again_and_again_takes_no_more_room() -> None:
    lists = Revocations()
    for until_s in range(10, 10_000):
        lists.block_user("a", until_s, 1)
    assert len(lists._blocked._ends) < 100


def test_the_backend_may_let_in_whose_tokens_are_invalid_but_not_who_is_blocked() -> None:
    lists = Revocations()
    lists.invalidate_user_tokens("a", 9, FOREVER, 1)
    assert lists.refusal(Identity("a", from_backend=True), 1) is None
    lists.block_user("a", FOREVER, 1)
    assert lists.refusal(Identity("a", from_backend=True), 1) is Refusal.BLOCKED


# -- what clients see ---------------------------------------------------------------------------


class Scene:
    """Ann has two connections by tokens "t1" (issued now) and "old"; bob has one."""

    def __init__(self) -> None:
        self.verifier = ScriptedVerifier()
        self.world = World(verifier=self.verifier)
        self.hub = self.world.hub
        self.now_s = int(self.world.clock.unix_s())
        self.verifier.identities |= {
            "t1": Identity("ann", issued_at=self.now_s, token_id="t1"),
            "old": Identity("ann", issued_at=self.now_s - 100),
            "bob": Identity("bob", token_id="b1", issued_at=self.now_s),
        }
        self.verifier.subscriptions["s"] = SubscriptionToken(
            "ann", "$c", "", SubscriptionGrant(), issued_at=self.now_s - 50, token_id="s1"
        )
        self.new, self.old, self.bob = (self.connect(token) for token in ("t1", "old", "bob"))

    def connect(self, token: str) -> Peer:
        peer = self.world.open()
        peer.say({"id": 1, "connect": {"token": token}})
        return peer

    def codes(self) -> tuple[int | None, ...]:
        return (self.new.close_code, self.old.close_code, self.bob.close_code)


def test_a_blocked_user_is_closed_and_does_not_come_back() -> None:
    scene = Scene()
    assert blocking.block_user(scene.hub, "ann", scene.now_s + 60) == 2
    assert scene.codes() == (3503, 3503, None)
    assert scene.connect("t1").close_code == 3507
    scene.world.clock.advance(61.0)
    assert scene.connect("t1").close_code is None
    blocking.block_user(scene.hub, "ann")
    assert scene.connect("t1").close_code == 3507
    blocking.unblock_user(scene.hub, "ann")
    assert scene.connect("t1").close_code is None


def test_a_revoked_token_ends_its_connections_and_opens_no_others() -> None:
    scene = Scene()
    assert blocking.revoke_token(scene.hub, "t1") == 1
    assert scene.codes() == (3014, None, None)
    assert scene.connect("t1").close_code == 3500
    assert scene.connect("old").close_code is None


def test_a_users_older_tokens_are_invalid() -> None:
    scene = Scene()
    assert blocking.invalidate_user_tokens(scene.hub, "ann", scene.now_s - 10) == 1
    assert scene.codes() == (None, 3014, None)
    assert scene.connect("old").close_code == 3500
    assert scene.connect("t1").close_code is None
    scene.world.clock.advance(1.0)
    assert blocking.invalidate_user_tokens(scene.hub, "ann") == 2
    assert scene.connect("t1").close_code == 3500


def test_a_token_that_is_fetched_at_once_in_place_of_an_invalid_one_is_good() -> None:
    scene = Scene()
    scene.world.clock.advance(1.7)
    assert blocking.invalidate_user_tokens(scene.hub, "ann") == 2
    issued_at = int(scene.world.clock.unix_s())
    scene.verifier.identities["new"] = Identity("ann", issued_at=issued_at)
    assert scene.connect("new").close_code is None
    assert scene.connect("t1").close_code == 3500


@pytest.mark.parametrize(
    ("take_back", "outcome"),
    [
        (lambda hub: hub.revocations.revoke_token("s1", FOREVER, 0), 103),
        (lambda hub: hub.revocations.invalidate_user_tokens("ann", 2**40, FOREVER, 0), 103),
        (lambda hub: hub.revocations.block_user("ann", FOREVER, 0), 3507),
    ],
)
def test_subscription_tokens_are_taken_back_too(take_back: object, outcome: int) -> None:
    scene = Scene()
    assert callable(take_back)
    assert isinstance(scene.new.ask("subscribe", channel="$c", token="s"), dict)
    for peer, method in ((scene.new, "sub_refresh"), (scene.old, "subscribe")):
        take_back(scene.hub)
        answer = peer.ask(method, channel="$c", token="s")
        assert (answer if answer is not None else peer.close_code) == outcome


def test_a_refresh_with_a_revoked_token_ends_the_connection() -> None:
    scene = Scene()
    scene.hub.revocations.revoke_token("t1", FOREVER, 0)
    scene.old.ask("refresh", token="t1")
    assert scene.old.close_code == 3500


def test_who_is_blocked_while_the_backend_thinks_does_not_come_in() -> None:
    backend = ScriptedBackend()
    world = World(HubOptions(connect_proxy=True), backend=backend)
    peer = world.open()
    peer.say({"id": 1, "connect": {}})
    blocking.block_user(world.hub, "ann")
    backend.answer(Identity("ann", from_backend=True))
    assert peer.close_code == 3507


@given(st.lists(STEPS, max_size=12), st.lists(STEPS, max_size=12), st.integers(13, 20))
@example([("invalidate", "a", 0, 0)], [("invalidate", "a", 1, 4)], 13)
def test_what_two_processes_noted_holds_when_one_of_them_has_it_all(
    mine: list[tuple[str, str, int, int]], theirs: list[tuple[str, str, int, int]], at_s: int
) -> None:
    lists = (noted(mine), noted(theirs))
    both = noted(mine)
    before = both.snapshot()
    assert both.add(lists[1].snapshot(), 13) is (both.snapshot() != before)
    for name in ("a", "b", "c"):
        for token_id in ("", name):
            right = Identity(user=name, token_id=token_id, issued_at=3)
            found = [each.refusal(right, at_s) for each in lists]
            is_refused = both.refusal(right, at_s) is not None
            assert is_refused >= (found != [None, None])
            # Of two invalidations the later moment and the later end count: more than either may have said.
            if not all(name in each.snapshot().invalidated for each in lists):
                assert is_refused is (found != [None, None])
    assert not both.add(lists[1].snapshot(), 13)


def test_what_does_not_fit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lists, others = Revocations(), Revocations()
    lists.block_user("a", FOREVER, 1)
    for name in ("b", "c"):
        others.block_user(name, FOREVER, 1)
    monkeypatch.setattr(revocations, "MAX_ENTRIES", 2)
    assert lists.add(others.snapshot(), 1)
    assert len(lists) == 2


def test_what_another_process_noted_replaces_all_and_closes_whoever_it_is_about() -> None:
    elsewhere = Revocations()
    scene = Scene()
    elsewhere.block_user("bob", FOREVER, scene.now_s)
    elsewhere.invalidate_user_tokens("ann", scene.now_s, FOREVER, scene.now_s)
    elsewhere.revoke_token("t7", scene.now_s + 5, scene.now_s)
    blocking.block_user(scene.hub, "eve")
    noted = msgspec.msgpack.decode(
        msgspec.msgpack.encode(elsewhere.snapshot()), type=revocations.RevocationList
    )
    assert blocking.replace(scene.hub, noted) == 2
    assert scene.codes() == (None, 3014, 3503)
    assert scene.hub.revocations.snapshot() == elsewhere.snapshot()
    assert scene.connect("bob").close_code == 3507
    assert scene.hub.revocations.refusal(Identity("eve"), scene.now_s) is None
