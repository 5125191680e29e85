"""The port through which operations see the connections of this process, whatever they speak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.hub.operations.requests import RecordRequest
    from wsloop.hub.operations.results import PeerInfo, RecordedLine


class Recorder(Protocol):
    """The flight recorder of this process: one recording at a time."""

    def begin(self, order: RecordRequest) -> None:
        """Begin a recording; raises ReplyError if there is one already."""
        ...

    def take(self, recording: str, *, stop: bool) -> tuple[list[RecordedLine], str]:
        """Return what was recorded since the last time, and why no more comes, "" if more may.

        `stop` ends it.
        """
        ...


class Peers(Protocol):
    """The connections of this process."""

    @property
    def recorder(self) -> Recorder:
        """What records them."""
        ...

    def snapshot(self) -> Sequence[Any]:
        """Return them all, as `describe` and `close` take them."""
        ...

    def describe(self, peer: Any) -> PeerInfo:  # noqa: ANN401 - what `snapshot` gives
        """Return what is told of one; `node` is left to the caller."""
        ...

    def close(self, peer: Any, code: int, reason: str) -> None:  # noqa: ANN401 - what `snapshot` gives
        """Close one; it may be gone already."""
        ...


class NoPeers:
    """`Peers` where nobody can connect."""

    @property
    def recorder(self) -> Recorder:
        """See `Peers.recorder`; never asked for."""
        raise AssertionError("nobody is here who could be recorded")

    def snapshot(self) -> Sequence[Any]:
        """See `Peers.snapshot`."""
        return ()

    def describe(self, peer: Any) -> PeerInfo:  # noqa: ANN401 - as the port has it
        """See `Peers.describe`; never called."""
        raise AssertionError("nobody is here who could be described")

    def close(self, peer: Any, code: int, reason: str) -> None:  # noqa: ANN401 - as the port has it
        """See `Peers.close`; never called."""
        raise AssertionError("nobody is here who could be closed")
