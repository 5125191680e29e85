"""Frames that come in pieces, on several connections at once, some of them cut: each ring has one owner."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from wsloop.server.assembly import Options
from wsloop.testing.client import OPCODE_BINARY, masked_frame
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from wsloop.testing.client import MemoryClient

SIZES = st.sampled_from([1, 700, 5_000, 15_000])
"""Of payloads: from what is decoded at once to what fills a good part of a ring."""

PIECES = st.sampled_from([100, 3_000, 7_000, 16_000])
"""What is sent at a time: most leave a tail that is too long to be kept as it is."""

ACTS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["send", "send", "send", "cut"]), PIECES),
    min_size=5,
    max_size=25,
)


@dataclass
class Speaker:
    """A client with messages to say, piece by piece."""

    client: MemoryClient
    messages: list[bytes]
    stream: bytes = field(init=False)

    def __post_init__(self) -> None:
        mask = b"\x01\x02\x03\x04"
        self.stream = b"".join(masked_frame(OPCODE_BINARY, each, mask) for each in self.messages)

    def send(self, size: int) -> None:
        self.client.send_bytes(self.stream[:size])
        self.stream = self.stream[size:]


@settings(max_examples=80)
@given(st.lists(st.lists(SIZES, min_size=2, max_size=5), min_size=3, max_size=3), ACTS)
def test_what_comes_in_pieces_comes_back_whole_and_every_ring_is_given_back(
    sizes: list[list[int]], acts: list[tuple[int, str, int]]
) -> None:
    with MemoryServer(options=Options(dev=True)) as house:
        speakers = [
            Speaker(
                house.connect("/echo"), [bytes([65 + who, number]) * size for number, size in enumerate(each)]
            )
            for who, each in enumerate(sizes)
        ]
        for who, verb, size in acts:
            speaker = speakers[who]
            if speaker.client.is_gone:
                continue
            if verb == "send":
                speaker.send(size)
            else:
                speaker.client.reset()
            house.run_for(0.01)
        for speaker in speakers:
            if not speaker.client.is_gone:
                speaker.send(len(speaker.stream))
        house.run_for(0.1)
        for speaker in speakers:
            echoed = speaker.client.binaries
            assert echoed == speaker.messages[: len(echoed)]
            assert speaker.client.is_gone or len(echoed) == len(speaker.messages)
        assert house.server.pool.statistics().lent == 0
        assert house.reactor.statistics().errors == 0
