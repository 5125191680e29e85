"""`wsloop pub`: one publication, or a stream of them from standard input, each made once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from wsloop.client.messages import CallError, PublishResult
from wsloop.daemon.payloads import as_json_payload, as_text_payload
from wsloop.daemon.tables import show_json
from wsloop.daemon.talking import Talk
from wsloop.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

STDIN = "-"
KEY_BYTES = 12
"""Of a publication's key: as good as never the same twice."""


class Publisher(Talk):
    """Publishes `data`, or the lines of standard input; text with `is_text`, else JSON."""

    def __init__(
        self,
        url: str,
        channel: str,
        data: str,
        *,
        is_text: bool,
        as_json: bool,
        **who: Any,  # noqa: ANN401 - for Talk
    ) -> None:
        self._channel = channel
        self._encode = as_text_payload if is_text else as_json_payload
        self._single = None if data == STDIN else self._encode(data)
        self._as_json = as_json
        self._waiting = self._published = 0
        self._is_read = self._has_begun = False
        self._fault: UsageError | None = None
        super().__init__(url, **who)

    def on_connected(self, client: object, result: object) -> None:
        """Begin, once."""
        super().on_connected(self.client, result)
        if self._has_begun:
            return
        self._has_begun = True
        if self._single is not None:
            self._is_read = True
            self._publish(self._single, lambda: None)
        else:
            self.read_lines(self._on_line, self._on_end)

    def _on_line(self, line: str, dealt_with: Callable[[], None]) -> None:
        if self._fault is not None:
            return
        try:
            payload = self._encode(line)
        except UsageError as error:
            # What came before it is published first: where it stopped must be known.
            self._fault, self._is_read = error, True
            self._end_if_done()
            return
        self._publish(payload, dealt_with)

    def _on_end(self) -> None:
        self._is_read = True
        self._end_if_done()

    def _publish(self, payload: msgspec.Raw, dealt_with: Callable[[], None]) -> None:
        self._waiting += 1
        key = os.urandom(KEY_BYTES).hex()
        data = bytes(payload)

        def done(outcome: PublishResult | CallError) -> None:
            if isinstance(outcome, CallError):
                if outcome.temporary and not self._is_ending:
                    # Without an answer nobody knows; under the same key it cannot be made twice.
                    self.try_again(attempt)
                    return
                self.fail(f"not published: {outcome.message} ({outcome.code})")
                return
            self._waiting -= 1
            self._published += 1
            dealt_with()
            self._tell(outcome)
            self._end_if_done()

        def attempt() -> None:
            self.client.publish(self._channel, data, done, key=key)

        attempt()

    def _tell(self, result: PublishResult) -> None:
        if self._as_json:
            show_json(msgspec.to_builtins(result))
        elif self._single is not None:
            self.say(f"published, offset {result.offset}" if result.epoch else "published")

    def _end_if_done(self) -> None:
        if self._is_read and not self._waiting:
            if self._fault is not None:
                place = f"line {self._published + 1}: {self._fault.message}"
                self.fail(f"{place}; {self._published:,} published before it", self._fault.hint)
            elif self._single is None and not self._as_json:
                self.say(f"{self._published:,} published")
            self.end()
