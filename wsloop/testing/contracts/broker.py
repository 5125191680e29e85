"""What every Broker must do, as pytest classes to derive from; for a Presence see `presence.py`.

    class TestMyBroker(BrokerContract):
        def make_broker(self, clock): return MyBroker(...)

A broker that answers later overrides `settle` to run until all that was asked is done. The
suites use nothing but the ports, so they hold for the in-process twins and for any store
behind a socket. Keys and versions are in `broker_once.py`, which `BrokerContract` includes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.hub.broker import Draft, Retention
from wsloop.hub.history import LINE_BYTES, HistoryQuery, Publication, StreamPosition, StreamView
from wsloop.testing.clock import FakeClock
from wsloop.testing.contracts.broker_harness import KEEP_3, KEEP_NONE, BrokerLog
from wsloop.testing.contracts.broker_once import PublishOnceContract

if TYPE_CHECKING:
    from wsloop.hub.broker import Broker


class BrokerContract(PublishOnceContract):
    """The suite for Broker. Override `make_broker`, and `settle` if it answers later."""

    def test_offsets_begin_at_1_and_have_no_gap(self) -> None:
        """Section 6: offsets start at 1, plus 1 per publication, in one epoch."""
        positions = [self.publish(b"0") for _ in range(5)]
        assert [position.offset for position in positions] == [1, 2, 3, 4, 5]
        assert len({position.epoch for position in positions}) == 1

    def test_an_acknowledged_publication_is_in_the_history(self) -> None:
        """Promise P1: ACK means appended."""
        self.broker.publish("c", Draft(b'{"n":1}', b'{"user":"u"}'), KEEP_3, self.log.done)
        self.settle()
        assert self.read().publications == (Publication(1, b'{"n":1}', b'{"user":"u"}'),)

    def test_each_operation_completes_once(self) -> None:
        """A completion is called exactly once."""
        self.publish(b"0")
        self.read()
        self.broker.remove_history("c", self.log.done)
        self.settle()
        assert len(self.log.of("done")) == 3

    def test_an_event_precedes_the_completion_of_a_later_read(self) -> None:
        """The order that lets a subscriber join without a gap."""
        self.broker.subscribe("c")
        for number in range(3):
            self.broker.publish("c", Draft(b"%d" % number), KEEP_3, lambda _: None)
            self.broker.history("c", HistoryQuery(), KEEP_3, self.log.done)
        self.settle()
        seen = 0
        for entry in self.log.entries:
            if entry[0] == "pub":
                seen = entry[2].offset
            else:
                assert entry[1].top.offset == seen
        assert seen == 3

    def test_events_come_in_the_order_of_the_offsets(self) -> None:
        """Promise P3: one total order."""
        self.broker.subscribe("c")
        for number in range(20):
            self.broker.publish("c", Draft(b"%d" % number), KEEP_3, lambda _: None)
        self.settle()
        publications = [publication for _, publication, _ in self.log.of("pub")]
        assert [publication.offset for publication in publications] == list(range(1, 21))
        assert [publication.data for publication in publications] == [b"%d" % n for n in range(20)]

    def test_events_carry_the_epoch_that_reads_name(self) -> None:
        """A hub tells by the epoch that a stream was lost."""
        self.broker.subscribe("c")
        position = self.publish(b"0")
        assert self.log.of("pub")[0][2] == position.epoch == self.read().top.epoch

    def test_only_subscribed_channels_have_events(self) -> None:
        """From subscribe to unsubscribe, both idempotent."""
        self.publish(b"1")
        self.broker.subscribe("c")
        self.broker.subscribe("c")
        self.publish(b"2")
        self.publish(b"3", channel="other")
        self.broker.unsubscribe("c")
        self.broker.unsubscribe("c")
        self.publish(b"4")
        assert [publication.data for _, publication, _ in self.log.of("pub")] == [b"2"]

    def test_a_pattern_brings_the_publications_of_the_channels_it_matches(self) -> None:
        """Each once, though the channel is subscribed to as well; no joins."""
        self.broker.subscribe_pattern("a.*")
        self.broker.subscribe_pattern("*.b")
        self.broker.subscribe("a.b")
        self.settle()
        for channel in ("a.b", "a.c", "a.b.c", "b"):
            self.publish(b"0", channel=channel)
        self.broker.publish_join("a.c", b"{}")
        self.settle()
        wanted = {"a.b", "a.c"}
        heard = [channel for channel, _, _ in self.log.of("pub")]
        assert wanted <= set(heard)
        assert len(heard) == len(set(heard))
        assert self.log.of("join") == []

    def test_a_pattern_that_is_given_up_brings_nothing(self) -> None:
        """The channel that was subscribed to by its name stays."""
        self.broker.subscribe_pattern("a.*")
        self.broker.subscribe_pattern("a.*")
        self.broker.subscribe("a.b")
        self.broker.unsubscribe_pattern("a.*")
        self.broker.unsubscribe_pattern("a.*")
        self.settle()
        self.publish(b"0", channel="a.b")
        self.publish(b"0", channel="a.c")
        self.settle()
        assert [channel for channel, _, _ in self.log.of("pub")] == ["a.b"]

    def test_what_is_published_once_it_is_confirmed_is_given(self) -> None:
        """Each confirmation completes once; by name and by pattern."""
        self.broker.subscribe("c")
        self.broker.subscribe_pattern("a.*")
        for name in ("c", "a.*", "c"):
            self.broker.confirm(name, self.log.done)
        self.settle()
        assert self.log.of("done") == [(None,)] * 3
        for channel in ("c", "a.b"):
            self.publish(b"0", channel=channel)
        self.settle()
        assert [channel for channel, _, _ in self.log.of("pub")] == ["c", "a.b"]

    def test_joins_and_leaves_reach_subscribed_channels_only(self) -> None:
        """Joins and leaves travel as publications do, but leave no trace."""
        self.broker.publish_join("c", b'{"n":0}')
        self.broker.publish_leave("c", b'{"n":0}')
        self.broker.subscribe("c")
        self.broker.publish_join("c", b'{"n":1}')
        self.broker.publish_leave("c", b'{"n":2}')
        self.settle()
        assert self.log.entries == [("join", "c", b'{"n":1}'), ("leave", "c", b'{"n":2}')]
        assert self.read().top.offset == 0

    def test_without_history_nothing_is_numbered_or_kept(self) -> None:
        """Offset 0 and no epoch: no client takes it for a position."""
        self.broker.subscribe("c")
        assert self.publish(b"1", KEEP_NONE) == StreamPosition(0, "")
        assert self.log.of("pub") == [("c", Publication(0, b"1"), "")]
        assert self.read().top.offset == 0

    def test_history_is_bounded_by_size(self) -> None:
        """The oldest leave; the position goes on."""
        for _ in range(5):
            self.publish(b"0")
        assert self.offsets() == [3, 4, 5]
        assert self.read().top.offset == 5

    def test_history_is_bounded_by_age(self) -> None:
        """Each publication has its own time to live; the position outlives it."""
        epoch = self.publish(b"1").epoch
        self.clock.advance(6)
        self.publish(b"2")
        self.clock.advance(4)
        assert self.offsets() == [2]
        self.clock.advance(6)
        assert self.read() == StreamView(StreamPosition(2, epoch))

    def test_limit_0_asks_for_the_position_only(self) -> None:
        """Section 7."""
        position = self.publish(b"1")
        assert self.read(HistoryQuery(0)) == StreamView(position)

    def test_a_limit_takes_from_the_old_end(self) -> None:
        """Ascending by default."""
        for _ in range(3):
            self.publish(b"0")
        assert self.offsets(HistoryQuery(2)) == [1, 2]

    def test_since_is_exclusive(self) -> None:
        """Publications after the offset; a trimmed range is no error, what is left is given."""
        for _ in range(5):
            self.publish(b"0")
        assert self.offsets(HistoryQuery(100, since=3)) == [4, 5]
        assert self.offsets(HistoryQuery(1, since=3)) == [4]
        assert self.offsets(HistoryQuery(100, since=0)) == [3, 4, 5]
        assert self.offsets(HistoryQuery(100, since=5)) == []
        assert self.offsets(HistoryQuery(100, since=2**70)) == []

    def test_reverse_is_newest_first(self) -> None:
        """With since: the offsets below it."""
        for _ in range(5):
            self.publish(b"0")
        assert self.offsets(HistoryQuery(2, reverse=True)) == [5, 4]
        assert self.offsets(HistoryQuery(100, since=5, reverse=True)) == [4, 3]
        assert self.offsets(HistoryQuery(1, since=5, reverse=True)) == [4]
        assert self.offsets(HistoryQuery(100, since=3, reverse=True)) == []
        assert self.offsets(HistoryQuery(100, since=1, reverse=True)) == []
        assert self.offsets(HistoryQuery(100, since=2**70, reverse=True)) == [5, 4, 3]

    def test_a_stream_never_heard_of_begins_at_0(self) -> None:
        """And keeps its epoch: a client told of it must find it again."""
        first = self.read().top
        assert first.offset == 0
        assert first.epoch
        assert self.publish(b"1") == StreamPosition(1, first.epoch)

    def test_channels_are_independent(self) -> None:
        """Own offsets, own epochs."""
        here, there = self.publish(b"1"), self.publish(b"1", channel="other")
        assert here.offset == there.offset == 1
        assert here.epoch != there.epoch

    def test_removing_history_begins_a_new_epoch(self) -> None:
        """Promise P7: who knows the old epoch can tell."""
        old = self.publish(b"1")
        self.broker.remove_history("c", self.log.done)
        self.settle()
        new = self.log.of("done")[-1][0]
        assert new.offset == 0
        assert new.epoch != old.epoch
        assert self.read() == StreamView(new)
        assert self.publish(b"2") == StreamPosition(1, new.epoch)

    def test_tags_and_the_wish_for_differences_are_kept_and_handed_out(self) -> None:
        """Whatever a draft says of the publication is in the event and in the history."""
        self.broker.subscribe("c")
        self.append(Draft(b"1", b'{"user":"u"}', b'{"t":"v"}', delta=True))
        publication = Publication(1, b"1", b'{"user":"u"}', b'{"t":"v"}', delta=True)
        assert self.log.of("pub")[0][1] == publication
        assert self.read().publications == (publication,)

    def test_a_read_is_bounded_by_bytes(self) -> None:
        """What fits, from the end where the read begins, and always one."""
        for _ in range(3):
            self.publish(b'"' + b"x" * 98 + b'"')
        assert self.offsets(HistoryQuery(100, max_bytes=3 * (100 + LINE_BYTES))) == [1, 2, 3]
        assert self.offsets(HistoryQuery(100, max_bytes=3 * (100 + LINE_BYTES) - 1)) == [1, 2]
        assert self.offsets(HistoryQuery(100, since=1, max_bytes=200)) == [2]
        assert self.offsets(HistoryQuery(100, reverse=True, max_bytes=299)) == [3, 2]
        assert self.offsets(HistoryQuery(100, max_bytes=0)) == [1]
        assert self.offsets(HistoryQuery(0, max_bytes=1000)) == []
        assert self.read(HistoryQuery(1, max_bytes=0)).top.offset == 3

    def test_statistics_count_what_is_kept(self) -> None:
        """Streams, publications, interests."""
        self.broker.subscribe("c")
        for _ in range(5):
            self.publish(b"0")
        self.publish(b"0", channel="other")
        statistics = self.broker.statistics()
        assert (statistics.streams, statistics.publications, statistics.interests) == (2, 4, 1)


class BoundedBrokerContract:
    """The suite for a Broker with a ceiling in bytes. Override `make_bounded_broker` and `settle`."""

    def make_bounded_broker(self, clock: FakeClock, memory_bytes: int) -> Broker:
        """Return a fresh broker that keeps publications in about `memory_bytes`."""
        raise NotImplementedError

    def settle(self) -> None:
        """Run until everything asked so far is done."""

    def test_under_the_ceiling_streams_stay_contiguous_and_keep_their_positions(self) -> None:
        """Whatever had to go: a stream reads as if it had been trimmed at its old end."""
        clock, log = FakeClock(), BrokerLog()
        broker = self.make_bounded_broker(clock, 100_000)
        broker.attach(log)
        epochs: dict[str, str] = {}
        tops: dict[str, int] = {}
        for number in range(300):
            channel = f"c{number * number % 11}"
            broker.publish(channel, Draft(b"x" * (number * 37 % 3000)), Retention(50, 60.0, 60.0), log.done)
            self.settle()
            answer = log.of("done")[-1][0]
            assert epochs.setdefault(channel, answer.epoch) == answer.epoch
            tops[channel] = tops.get(channel, 0) + 1
            assert answer.offset == tops[channel]
        held = 0
        for channel, top in tops.items():
            broker.history(channel, HistoryQuery(100), Retention(50, 60.0, 60.0), log.done)
            self.settle()
            view = log.of("done")[-1][0]
            assert view.top == StreamPosition(top, epochs[channel])
            offsets = [publication.offset for publication in view.publications]
            assert offsets == list(range(top - len(offsets) + 1, top + 1))
            held += sum(publication.payload_bytes for publication in view.publications)
        statistics = broker.statistics()
        assert 0 < held < statistics.bytes <= 100_000
        assert statistics.evicted > 0
