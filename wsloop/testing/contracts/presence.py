"""What every Presence must do, as a pytest class to derive from.

    class TestMyPresence(PresenceContract):
        def make_presence(self): return MyPresence(...)

The suite uses nothing but the port, so it holds for the in-process twin and for any store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.hub.broker import Unavailable
from wsloop.hub.presence import PresenceStats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wsloop.hub.presence import Presence


class PresenceContract:
    """The suite for Presence. Override `make_presence`, and `settle` if it answers later."""

    presence: Presence

    def make_presence(self) -> Presence:
        """Return a fresh presence."""
        raise NotImplementedError

    def settle(self) -> None:
        """Run until everything asked so far is done."""

    def setup_method(self) -> None:
        """Begin each test with a presence of its own."""
        self.presence = self.make_presence()

    def members(self, channel: str = "c") -> dict[str, bytes]:
        """Return who is in the channel."""
        answers: list[dict[str, bytes]] = []

        def done(result: Mapping[str, bytes] | Unavailable) -> None:
            assert not isinstance(result, Unavailable), result
            answers.append(dict(result))

        self.presence.members(channel, done)
        self.settle()
        (answer,) = answers
        return answer

    def stats(self, channel: str = "c") -> tuple[int, int]:
        """Return the numbers of clients and of users in the channel."""
        answers: list[PresenceStats | Unavailable] = []
        self.presence.stats(channel, answers.append)
        self.settle()
        (answer,) = answers
        assert isinstance(answer, PresenceStats), answer
        return answer.num_clients, answer.num_users

    def test_nobody_is_in_a_channel_never_heard_of(self) -> None:
        """Empty, not an error."""
        assert self.members() == {}
        assert self.stats() == (0, 0)

    def test_add_and_remove_take_effect_at_once(self) -> None:
        """Exact: no time to live is waited for."""
        self.presence.add("c", "client1", "u", b'{"client":"client1"}')
        self.presence.add("c", "client2", "u", b'{"client":"client2"}')
        assert self.members() == {"client1": b'{"client":"client1"}', "client2": b'{"client":"client2"}'}
        self.presence.remove("c", "client1")
        assert self.members() == {"client2": b'{"client":"client2"}'}

    def test_users_are_counted_once(self) -> None:
        """One user with two clients is one user, until the last of them goes."""
        self.presence.add("c", "client1", "u", b"{}")
        self.presence.add("c", "client2", "u", b"{}")
        self.presence.add("c", "client3", "v", b"{}")
        assert self.stats() == (3, 2)
        self.presence.remove("c", "client1")
        assert self.stats() == (2, 2)
        self.presence.remove("c", "client2")
        assert self.stats() == (1, 1)

    def test_adding_again_replaces(self) -> None:
        """The info and the user of the newer add count."""
        self.presence.add("c", "client1", "u", b"1")
        self.presence.add("c", "client1", "v", b"2")
        assert self.members() == {"client1": b"2"}
        assert self.stats() == (1, 1)

    def test_removing_the_unknown_is_ignored(self) -> None:
        """A leave may be told twice."""
        self.presence.remove("c", "client1")
        self.presence.add("c", "client1", "u", b"1")
        self.presence.remove("c", "other")
        assert self.members() == {"client1": b"1"}

    def test_channels_are_independent(self) -> None:
        """The same client may be in many."""
        self.presence.add("c", "client1", "u", b"1")
        self.presence.add("d", "client1", "u", b"2")
        self.presence.remove("c", "client1")
        assert (self.members("c"), self.members("d")) == ({}, {"client1": b"2"})
