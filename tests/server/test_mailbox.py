"""The mailbox: whole messages, in order; what is dropped is flagged or its lane cut off."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wsloop.buffers.outbox import Outbox
from wsloop.hub.codec import JSON
from wsloop.hub.fan_out import Lane, Packet
from wsloop.protocol.deflate import Compressor, DeflateOptions
from wsloop.protocol.frames import frame_ends
from wsloop.server.framing import frame_of
from wsloop.server.mailbox import MIN_HOLES, Mailbox, Room

LANES = (
    Lane("kept", "close", JSON),
    Lane("oldest", "drop-oldest", JSON),
    Lane("oldest, whole", "drop-oldest", JSON),
    Lane("newest", "conflate", JSON),
    Lane("newest, whole", "conflate", JSON),
)


def must_be_whole(lane: Lane) -> bool:
    return lane.channel.endswith("whole")


def packet(lane: Lane, *messages: bytes) -> Packet:
    return Packet(frame_of(messages, JSON), messages, lane)


def unframe(stream: bytes) -> list[Any]:
    """Return the lines of whole frames, parsed; the stream must end with a frame."""
    lines, start = [], 0
    for end in frame_ends(stream):
        assert end <= len(stream)
        header = 2 if stream[start + 1] < 126 else 4
        lines += [json.loads(line) for line in stream[start + header : end].split(b"\n")]
        start = end
    assert start == len(stream)
    return lines


class Reader:
    """What a client makes of the stream: numbers of each lane, that must follow on one another."""

    def __init__(self) -> None:
        self.last = dict.fromkeys((lane.channel for lane in LANES), 0)
        self.firm = 0
        self.flagged = 0

    def read(self, line: Any) -> None:
        if "firm" in line:
            assert line["firm"] == self.firm + 1, "what has no lane is neither lost nor moved"
            self.firm = line["firm"]
        elif "ended" in line:
            assert line["ended"].endswith("whole")
            self.last[line["ended"]] = line["next"] - 1  # it recovers what it has missed
        elif "push" in line:
            channel, dropped = line["push"]["channel"], line["push"]["gap"]["dropped"]
            assert not channel.endswith("whole")
            assert channel != "kept"
            assert dropped > 0
            self.last[channel] += dropped
            self.flagged += dropped
        else:
            ((channel, number),) = line.items()
            assert number == self.last[channel] + 1, f"an unflagged gap, or a wrong order, in {channel}"
            self.last[channel] = number


class MailboxMachine(RuleBasedStateMachine):
    """Any sequence of sends, takes by the kernel and limits, against what a reader may see."""

    def __init__(self) -> None:
        super().__init__()
        self.mailbox = Mailbox()
        self.outbox = Outbox(1000, 100)
        self.taken = bytearray()
        self.sent = dict.fromkeys((lane.channel for lane in LANES), 0)
        self.firm = 0
        self.now_s = 0.0

    def next_messages(self, lane: Lane, count: int, size: int) -> list[bytes]:
        messages = []
        for _ in range(count):
            self.sent[lane.channel] += 1
            text = json.dumps({lane.channel: self.sent[lane.channel]})
            messages.append(text.encode() + b" " * size)
        return messages

    @rule(lane=st.sampled_from(LANES), count=st.integers(1, 3), size=st.integers(0, 100))
    def push(self, lane: Lane, count: int, size: int) -> None:
        made = packet(lane, *self.next_messages(lane, count, size))
        self.mailbox.add_packet(made.data, made, self.now_s)

    @rule()
    def say(self) -> None:
        self.firm += 1
        self.mailbox.add(frame_of((b'{"firm":%d}' % self.firm,), JSON))

    @rule(up_to=st.integers(1, 300), taken=st.integers(0, 300))
    def send(self, up_to: int, taken: int) -> None:
        self.mailbox.move(self.outbox, up_to)
        taken = min(taken, self.outbox.size)
        self.taken += b"".join(self.outbox.gather(10_000, taken)) if taken else b""
        self.outbox.advance(taken)

    @rule()
    def time_passes(self) -> None:
        self.now_s += 1.0

    @rule(
        size=st.integers(0, 800), messages=st.integers(0, 20), age_s=st.one_of(st.none(), st.integers(0, 5))
    )
    def limit(self, size: int, messages: int, age_s: int | None) -> None:
        since_s = -math.inf if age_s is None else self.now_s - age_s
        room = Room(size, messages, since_s)
        before = self.mailbox.size, self.mailbox.messages
        if self.mailbox.shed(room, must_be_whole):
            assert self.mailbox.size <= size
            assert self.mailbox.messages <= messages
        else:
            newest = [lane for lane in LANES if lane.policy == "conflate"]
            assert self.waiting("oldest") == self.waiting("oldest, whole") == 0 or age_s is not None
            assert all(self.waiting(lane.channel) <= 1 for lane in newest) or age_s is not None
        assert (self.mailbox.size, self.mailbox.messages) <= before

    def waiting(self, channel: str) -> int:
        return sum(
            len(entry.texts)
            for entry in self.mailbox._entries
            if entry.frame is not None and entry.lane is not None and entry.lane.channel == channel
        )

    @rule()
    def tell(self) -> None:
        for lane in self.mailbox.cut_lanes():
            told = {"ended": lane.channel, "next": self.sent[lane.channel] + 1}
            self.mailbox.add(frame_of((json.dumps(told).encode(),), JSON))
            self.mailbox.mend(lane)

    @invariant()
    def the_counts_are_those_of_what_waits(self) -> None:
        there = [entry for entry in self.mailbox._entries if entry.frame is not None]
        assert self.mailbox.size == sum(len(entry.frame or b"") for entry in there)
        assert self.mailbox.messages == sum(len(entry.texts) for entry in there)
        firm = (entry for entry in there if entry.lane is None or entry.lane.policy == "close")
        assert self.mailbox.firm_bytes == sum(len(entry.frame or b"") for entry in firm)
        oldest = min((entry.since_s for entry in there if entry.lane is not None), default=None)
        assert self.mailbox.oldest_s() == oldest

    @invariant()
    def holes_do_not_pile_up(self) -> None:
        holes = sum(entry.frame is None for entry in self.mailbox._entries)
        assert holes == self.mailbox._holes
        assert holes < MIN_HOLES or holes <= len(self.mailbox._entries) / 2 + MIN_HOLES

    def teardown(self) -> None:
        self.tell()
        self.mailbox.move(self.outbox, 10**9)
        assert not self.mailbox
        assert self.mailbox.size == self.mailbox.messages == self.mailbox.firm_bytes == 0
        self.send(1, 10**9)
        reader = Reader()
        for line in unframe(bytes(self.taken)):
            reader.read(line)
        assert reader.firm == self.firm
        assert reader.last == self.sent, "what is missing at the end is flagged as well"
        assert reader.flagged <= self.mailbox.dropped


TestMailboxMachine = MailboxMachine.TestCase
TestMailboxMachine.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)


def drained(mailbox: Mailbox) -> list[Any]:
    outbox = Outbox()
    mailbox.move(outbox, 10**9)
    return unframe(b"".join(outbox.gather(10_000, 10**9)))


def test_the_oldest_go_first_and_one_flag_tells_how_many() -> None:
    mailbox, lane = Mailbox(), LANES[1]
    for number in range(1, 6):
        made = packet(lane, b'{"n":%d}' % number)
        mailbox.add_packet(made.data, made, 0.0)
    assert mailbox.shed(Room(10**6, 2, -math.inf), must_be_whole)
    gap = {"push": {"channel": "oldest", "gap": {"dropped": 3}}}
    assert drained(mailbox) == [gap, {"n": 4}, {"n": 5}]
    assert mailbox.dropped == 3


@given(st.lists(st.sampled_from((LANES[1], LANES[3])), max_size=12), st.integers(0, 12))
def test_behind_the_last_frame_no_gap_is_told(lanes: list[Lane], kept: int) -> None:
    mailbox = Mailbox()
    for number, lane in enumerate(lanes):
        made = packet(lane, b'{"n":%d}' % number)
        mailbox.add_packet(made.data, made, 0.0)
    mailbox.shed(Room(10**6, kept, -math.inf), must_be_whole)
    mailbox.add(frame_of((b'{"end":true}',), JSON))
    mailbox.end()
    told = drained(mailbox)
    assert told[-1] == {"end": True}
    assert not mailbox


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.integers(0, 3), st.booleans())
def test_who_comes_back_hears_of_no_gap_from_before(
    old: int, kept: int, kept_later: int, new: int, in_the_same: bool
) -> None:
    mailbox, lane = Mailbox(), LANES[1]
    for number in range(old):
        made = packet(lane, b'{"old":%d}' % number)
        mailbox.add_packet(made.data, made, 0.0)
    mailbox.shed(Room(10**6, kept, -math.inf), must_be_whole)
    mailbox.leave(lane.channel)
    mailbox.add(frame_of((b'{"left":true}',), JSON))
    mailbox.shed(Room(10**6, kept_later, -math.inf), must_be_whole)
    lane = lane if in_the_same else Lane(lane.channel, "drop-oldest", JSON)
    for number in range(new):
        made = packet(lane, b'{"new":%d}' % number)
        mailbox.add_packet(made.data, made, 0.0)
    told = drained(mailbox)
    at = told.index({"left": True})
    waited = min(old, kept, kept_later)
    gap = [{"push": {"channel": "oldest", "gap": {"dropped": old - waited}}}] if waited < old else []
    assert told[:at] == (gap if waited else []) + [{"old": number} for number in range(old - waited, old)]
    assert told[at + 1 :] == [{"new": number} for number in range(new)]
    assert not mailbox


def test_conflation_leaves_the_newest_of_each_channel_and_of_a_shared_frame_its_last() -> None:
    mailbox = Mailbox()
    one, two = LANES[3], Lane("other", "conflate", JSON)
    for lane, numbers in ((one, (1,)), (two, (1, 2)), (one, (2, 3)), (two, (3,))):
        made = packet(lane, *(b'{"%b":%d}' % (lane.channel.encode(), number) for number in numbers))
        mailbox.add_packet(made.data, made, 0.0)
    assert mailbox.shed(Room(10**6, 5, -math.inf), must_be_whole)
    assert [line for line in drained(mailbox) if "push" not in line] == [{"newest": 3}, {"other": 3}]
    assert mailbox.dropped == 4


def test_a_lane_that_must_be_whole_is_taken_in_again_only_when_its_end_was_told() -> None:
    mailbox, lane = Mailbox(), LANES[2]
    made = packet(lane, b'{"n":1}')
    for _ in range(3):
        mailbox.add_packet(made.data, made, 0.0)
    assert mailbox.shed(Room(10**6, 2, -math.inf), must_be_whole)
    assert mailbox.cut_lanes() == [lane]
    mailbox.add_packet(made.data, made, 0.0)
    assert mailbox
    assert (mailbox.messages, mailbox.dropped) == (0, 4)
    mailbox.mend(lane)
    assert drained(mailbox) == []
    assert not mailbox


def test_what_may_not_be_dropped_does_not_fit_when_it_is_too_old() -> None:
    mailbox = Mailbox()
    made = packet(LANES[0], b"1")
    mailbox.add_packet(made.data, made, 5.0)
    assert mailbox.shed(Room(10**6, 10, 4.9), must_be_whole)
    assert not mailbox.shed(Room(10**6, 10, 5.0), must_be_whole)


def test_the_newest_of_a_conflated_channel_is_never_too_old() -> None:
    mailbox = Mailbox()
    for number in range(2):
        made = packet(LANES[3], b'{"n":%d}' % number)
        mailbox.add_packet(made.data, made, 0.0)
    assert mailbox.shed(Room(10**6, 10, 100.0), must_be_whole)
    assert mailbox.messages == 1


def test_a_frame_made_here_is_compressed_for_a_peer_that_agreed() -> None:
    mailbox = Mailbox(Compressor(DeflateOptions(min_bytes=0), 12))
    texts = [b'"%b"' % (b"abc" * size) for size in (1, 1000)]
    made = packet(LANES[3], *texts)
    mailbox.add_packet(made.data, made, 0.0)
    assert mailbox.shed(Room(10**6, 1, -math.inf), must_be_whole)
    assert mailbox.size < 100


@given(st.integers(1, 2000))
@settings(max_examples=20)
def test_steady_overflow_holds_no_more_than_the_limit(count: int) -> None:
    mailbox, lane = Mailbox(), LANES[1]
    mailbox.add(b"firm")
    made = packet(lane, b'{"n":1}')
    for _ in range(count):
        mailbox.add_packet(made.data, made, 0.0)
        assert mailbox.shed(Room(200, 10**6, -math.inf), must_be_whole)
    assert mailbox.size <= 200
    assert len(mailbox._entries) <= 2 * MIN_HOLES + 2 * 200 // len(made.data)


def test_lanes_are_told_to_be_cut_in_the_order_in_which_they_were() -> None:
    mailbox = Mailbox()
    lanes = [Lane(f"{number}, whole", LANES[2].policy, JSON) for number in range(20)]
    for lane in lanes:
        for _ in range(2):
            made = packet(lane, b'{"n":1}')
            mailbox.add_packet(made.data, made, 0.0)
    mailbox.shed(Room(10**6, 0, -math.inf), must_be_whole)
    assert mailbox.cut_lanes() == lanes
