"""A command of a messaging client whose server is the test: it keeps what is asked, and answers by hand."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsloop.daemon.talking import Talk

URL = "ws://127.0.0.1:1"
NOBODY: dict[str, Any] = {"token": "", "token_file": None, "ca_file": ""}

Command = TypeVar("Command", bound="Talk")


class ScriptedClient:
    """Stands where the messaging client is."""

    client_id = "my-id"

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any, Callable[[Any], object]]] = []
        self.is_closed = False

    def publish(self, channel: str, data: bytes, done: Callable[[Any], object], *, key: str) -> None:
        self.asked.append(("publish", (data, key), done))

    def presence(self, channel: str, done: Callable[[Any], object]) -> None:
        self.asked.append(("presence", channel, done))

    def history(self, channel: str, done: Callable[[Any], object], **wanted: Any) -> None:
        self.asked.append(("history", wanted, done))

    def disconnect(self) -> None:
        self.is_closed = True

    def answer(self, outcome: object) -> Any:
        """Answer the oldest question; return what was asked."""
        _, asked, done = self.asked.pop(0)
        done(outcome)
        return asked


@contextlib.contextmanager
def scripted(talk: Command) -> Iterator[tuple[Command, ScriptedClient, Any]]:
    """Yield a command, the client it speaks to, and it once more as what `on_` methods are given."""
    client = ScriptedClient()
    before, talk.client = talk.client, cast("Any", client)
    try:
        yield talk, client, cast("Any", client)
    finally:
        before.close()
        talk._helper.close()
        talk.reactor.close()


def turn(talk: Talk) -> None:
    """Let the command's loop go on until what it does next is done."""
    talk.reactor.run_once()
