"""What a subscriber may wish of its pushes, and how that looks in the reply to its subscribe.

`wish_of` reads the command and the namespace's options; from then on the wish is all that
`audiences.py` needs. What was missed is tailored as live publications are, so that a client cannot
tell where the one ends and the other begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.hub import codes, replies
from wsloop.hub.audiences import PLAIN, Wish
from wsloop.hub.commands import FLAG_CHANNEL_COMPACTION
from wsloop.hub.parcel import Parcel
from wsloop.hub.tags import FilterError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.hub.commands import SubscribeRequest
    from wsloop.hub.history import Publication
    from wsloop.hub.namespaces import Namespace
    from wsloop.hub.tags import Filter, Filters

RECOVERED_DELTA_BYTES = 128 * 1024
"""Of one recovery, so many payload bytes are compared with those before: two to four milliseconds.
The rest is sent whole, which is always allowed."""


def wish_of(request: SubscribeRequest, options: Namespace, filters: Filters) -> Wish:
    """Return how a client will have its pushes.

    Deltas and numbers are offers that a namespace may leave unused; a filter is a demand. Raises
    ReplyError 107 for one that is not allowed, or is none.
    """
    chosen = _filter(request, options, filters) if len(request.tf) else None
    is_delta = bool(request.delta) and request.delta in options.allowed_delta_types
    is_compact = options.allow_channel_compaction and bool(request.flag & FLAG_CHANNEL_COMPACTION)
    if chosen is None and not is_delta and not is_compact:
        return PLAIN
    return Wish(chosen, is_delta, is_compact)


def recovered(
    missed: Iterable[Publication], wish: Wish, options: Namespace
) -> tuple[list[bytes], bytes | None]:
    """Return what a client missed as JSON, as it wishes it, and the payload it was given last.

    The payload is None if it was given none: then the next one is sent whole.
    """
    if wish is PLAIN:
        return [replies.publication(each) for each in missed], None
    lines: list[bytes] = []
    base: bytes | None = None
    compared_bytes = 0
    for each in missed:
        parcel = Parcel(each, wants_delta=each.delta or options.delta_publish)
        if wish.filter is not None and not parcel.passes(wish.filter):
            continue
        if not wish.delta:
            lines.append(replies.publication(each))
            continue
        compared_bytes += len(each.data)
        difference = None
        if base is not None and compared_bytes <= RECOVERED_DELTA_BYTES:
            difference = parcel.difference(base)
        data = parcel.text if difference is None else difference
        lines.append(replies.tailored_publication(each, data, difference is not None))
        base = each.data
    return lines, base


def _filter(request: SubscribeRequest, options: Namespace, filters: Filters) -> Filter:
    try:
        if options.allow_tags_filter:
            return filters.compile(bytes(request.tf))
    except FilterError:
        pass
    raise codes.ReplyError(codes.BAD_REQUEST)
