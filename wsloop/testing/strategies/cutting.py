"""Every way to cut a stream, and when the pieces leave."""

from __future__ import annotations

from hypothesis import strategies as st

from wsloop.testing.network import NetworkFaults
from wsloop.testing.wire import Cutting, Schedule, cut_every


def cuttings(max_cuts: int = 12) -> st.SearchStrategy[Cutting]:
    """Draw cuttings: whole, at up to `max_cuts` places, or in equal pieces of 1 to 9 bytes.

    Places are near the beginning, within the first 4 KiB, or anywhere in streams of up to 256 KiB.
    """
    place = st.integers(0, 1 << 12) | st.integers(0, 30) | st.integers(0, 1 << 18)
    places = st.lists(place, max_size=max_cuts, unique=True)
    return places.map(lambda found: Cutting(tuple(sorted(found)))) | st.integers(1, 9).map(cut_every)


def schedules(max_pause_s: float = 1.0, max_cuts: int = 6) -> st.SearchStrategy[Schedule]:
    """Draw cuttings with pauses of 0 to `max_pause_s` seconds before the pieces."""
    pauses_s = st.lists(st.sampled_from((0.0, max_pause_s / 100, max_pause_s)), max_size=max_cuts + 1)
    return st.builds(Schedule, cuttings(max_cuts), pauses_s.map(tuple))


def network_faults(max_delay_s: float = 0.2) -> st.SearchStrategy[NetworkFaults]:
    """Draw networks that delay, cut and refuse, but lose nothing (for `wsloop.testing.network`).

    They shrink to one without faults. Resets are left out: what is lost with one cannot be expected back.
    """
    return st.builds(
        NetworkFaults,
        max_delay_s=st.sampled_from((0.0, max_delay_s / 20, max_delay_s)),
        max_read_bytes=st.none() | st.integers(1, 300),
        max_write_bytes=st.none() | st.integers(1, 300),
        eagain_chance=st.sampled_from((0.0, 0.1, 0.5)),
    )
