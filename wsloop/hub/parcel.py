"""A publication being delivered to audiences that wish it tailored: what they share, made at most once.

Several audiences may ask for the same: a verdict of one filter, the push that two filters let through,
the payload as a JSON string, the difference to one base. `python -m tools.bench.tailored` measures it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.hub import delta, replies
from wsloop.hub.tags import parse_tags

if TYPE_CHECKING:
    from wsloop.hub.codec import Codec
    from wsloop.hub.history import Publication
    from wsloop.hub.tags import Filter


class Parcel:
    """What is known of one publication. `wants_delta`: whether differences of it may be made at all."""

    __slots__ = ("_difference", "_messages", "_tags", "_text", "_verdicts", "_wants_delta", "publication")

    def __init__(self, publication: Publication, *, wants_delta: bool) -> None:
        self.publication = publication
        self._wants_delta = wants_delta
        self._tags: dict[str, str] | None = None
        self._verdicts: dict[Filter, bool] = {}
        self._messages: dict[tuple[Codec, bytes], bytes] = {}
        self._text = b""
        self._difference: tuple[bytes, bytes | None] | None = None

    def passes(self, wanted: Filter) -> bool:
        """Tell whether a filter lets the publication through."""
        verdict = self._verdicts.get(wanted)
        if verdict is None:
            if self._tags is None:
                self._tags = parse_tags(self.publication.tags)
            verdict = self._verdicts[wanted] = wanted.matches(self._tags)
        return verdict

    @property
    def text(self) -> bytes:
        """The whole payload as a JSON string."""
        if not self._text:
            self._text = delta.json_string(self.publication.data)
        return self._text

    def message(self, codec: Codec, push_start: bytes) -> bytes:
        """Return the push of the whole publication as a codec writes it; `push_start` as in `replies`."""
        message = self._messages.get((codec, push_start))
        if message is None:
            message = codec.encode(replies.pub_push(push_start, self.publication))
            self._messages[codec, push_start] = message
        return message

    def difference(self, base: bytes) -> bytes | None:
        """Return the difference to `base` as a JSON string, None if the whole payload is to be sent."""
        if not self._wants_delta:
            return None
        known = self._difference
        if known is None or known[0] is not base:
            found = delta.delta(base, self.publication.data)
            known = self._difference = (base, None if found is None else delta.json_string(found))
        return known[1]
