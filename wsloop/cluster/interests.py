"""Who wants to hear of which channels: the workers and the hub process's own hub.

The workload: many channels, each wanted by a handful of consumers at most, and asked about with every
publication. So a channel has a tuple, 48 bytes for one consumer, and what was found for a publication does
not change while it is handed out.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from wsloop.hub.patterns import Patterns

Consumer = TypeVar("Consumer")


class Registry(Generic[Consumer]):
    """Consumers by channel and by pattern. Adding and removing are idempotent."""

    __slots__ = ("_by_pattern", "_channels", "_patterns")

    def __init__(self) -> None:
        self._channels: dict[str, tuple[Consumer, ...]] = {}
        self._by_pattern: dict[str, tuple[Consumer, ...]] = {}
        self._patterns: Patterns[str] = Patterns()

    def add(self, channel: str, consumer: Consumer) -> bool:
        """Note an interest in a channel; return whether it is the first of anybody."""
        consumers = self._channels.get(channel, ())
        if consumer not in consumers:
            self._channels[channel] = (*consumers, consumer)
        return not consumers

    def remove(self, channel: str, consumer: Consumer) -> bool:
        """Forget an interest in a channel; return whether it was the last of anybody."""
        return _remove(self._channels, channel, consumer)

    def add_pattern(self, pattern: str, consumer: Consumer) -> bool:
        """Note an interest in a pattern's channels; return whether it is the first of anybody in it."""
        consumers = self._by_pattern.get(pattern, ())
        if not consumers:
            self._patterns.add(pattern, pattern)
        if consumer not in consumers:
            self._by_pattern[pattern] = (*consumers, consumer)
        return not consumers

    def remove_pattern(self, pattern: str, consumer: Consumer) -> bool:
        """Forget an interest in a pattern; return whether it was the last of anybody in it."""
        was_last = _remove(self._by_pattern, pattern, consumer)
        if was_last:
            self._patterns.remove(pattern)
        return was_last

    def of(self, channel: str) -> tuple[Consumer, ...]:
        """Return who has an interest in the channel itself."""
        return self._channels.get(channel, ())

    def of_publication(self, channel: str) -> tuple[Consumer, ...]:
        """Return who has an interest in the channel's publications, by its name or a pattern; each once."""
        consumers = self._channels.get(channel, ())
        if not self._by_pattern:
            return consumers
        found = dict.fromkeys(consumers)
        for pattern in self._patterns.match(channel):
            found.update(dict.fromkeys(self._by_pattern[pattern]))
        return tuple(found)


def _remove(table: dict[str, tuple[Consumer, ...]], key: str, consumer: Consumer) -> bool:
    consumers = table.get(key, ())
    if consumer not in consumers:
        return False
    rest = tuple(each for each in consumers if each is not consumer)
    if rest:
        table[key] = rest
    else:
        del table[key]
    return not rest
