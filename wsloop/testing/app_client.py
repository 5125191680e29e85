"""A messaging client of a `Server` in memory, for tests of applications: every call waits in virtual time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from wsloop.server.assembly import CONNECTION_PATH
from wsloop.testing.app_socket import ABNORMAL, LOCALHOST, PATIENCE_S, ConnectionClosed, TestSocket
from wsloop.testing.client import MessagingMemoryClient

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.testing.app_server import Server


class CommandRefused(Exception):  # noqa: N818 - it is an answer, which a test may expect
    """The server answered a command with an error; its `code` and `message`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class TestClient(TestSocket):
    """A client that speaks the messaging protocol, connected.

    Arguments: `server`; `user`, whom the server takes it for (`Server` lets tests name any; "" is anonymous),
    or a real `token`; `name` and `data` of its `connect`; the others as those of `TestSocket`. `connected` is
    what it was answered. Raises UpgradeRefused, CommandRefused, ConnectionClosed.

    Every method waits for its reply, and raises CommandRefused, ConnectionClosed or TimeoutError.
    """

    wire_kind: ClassVar = MessagingMemoryClient
    wire: MessagingMemoryClient

    def __init__(
        self,
        server: Server,
        user: str = "",
        *,
        token: str = "",
        name: str = "",
        data: object = None,
        headers: Iterable[tuple[str, str]] = (),
        worker: int = 0,
        source_host: str = LOCALHOST,
    ) -> None:
        super().__init__(server, CONNECTION_PATH, headers=headers, worker=worker, source_host=source_host)
        self._pushes_read = 0
        self._unread: deque[tuple[str, dict[str, Any]]] = deque()
        if user and not token:
            token = server.token(user)
        asked = {"token": token, "name": name, "data": data}
        self.connected = self.call(connect={key: value for key, value in asked.items() if value})
        for channel, subscribed in self.connected.get("subs", {}).items():
            self._note_recovered(channel, subscribed)

    def call(self, **command: object) -> dict[str, Any]:
        """Send one command, such as `call(subscribe={"channel": "a"})`; return its result."""
        number = self.wire.command(**command)
        self._wait_for(lambda: number in self.wire.replies, f"no answer to {next(iter(command))}")
        if number not in self.wire.replies:
            raise ConnectionClosed(*(self.closed or ABNORMAL))
        reply = self.wire.replies[number]
        if "error" in reply:
            raise CommandRefused(reply["error"]["code"], reply["error"]["message"])
        result: dict[str, Any] = reply.get(next(iter(command)), {})
        return result

    def subscribe(self, channel: str, **options: object) -> dict[str, Any]:
        """Subscribe; `options` are the command's other fields (`token`, `recover`, `offset`, `epoch` ...).

        Publications that were recovered are received first.
        """
        self._gather()
        result = self.call(subscribe={"channel": channel, **options})
        self._note_recovered(channel, result)
        return result

    def unsubscribe(self, channel: str) -> None:
        """Leave a channel."""
        self.call(unsubscribe={"channel": channel})

    def publish(self, channel: str, data: object, **options: object) -> dict[str, Any]:
        """Publish `data`, which is JSON; return what is known of it, such as its `offset`."""
        return self.call(publish={"channel": channel, "data": data, **options})

    def history(self, channel: str, limit: int = -1, **options: object) -> dict[str, Any]:
        """Return what the channel keeps: `publications`, `offset`, `epoch`."""
        return self.call(history={"channel": channel, "limit": limit, **options})

    def presence(self, channel: str) -> dict[str, Any]:
        """Return who is in the channel, by the clients' ids."""
        found: dict[str, Any] = self.call(presence={"channel": channel}).get("presence", {})
        return found

    def rpc(self, method: str, data: object = None) -> Any:  # noqa: ANN401 - JSON is any type
        """Ask the application; return the data of its answer."""
        return self.call(rpc={"method": method, "data": data}).get("data")

    def receive_publication(self, channel: str = "", within_s: float = PATIENCE_S) -> Any:  # noqa: ANN401 - JSON
        """Return the data of the next publication, in any channel if that is "".

        Raises ConnectionClosed if none comes any more, TimeoutError after `within_s` virtual seconds.
        """
        self._wait_for(lambda: self._find(channel), f"no publication in {channel or 'any channel'}", within_s)
        found = self._find(channel)
        if found is None:
            raise ConnectionClosed(*(self.closed or ABNORMAL))
        self._unread.remove(found)
        return found[1]["data"]

    def publications(self, channel: str = "") -> list[Any]:
        """Return the data of the publications that have arrived by now and were not received yet."""
        self.server.settle()
        self._gather()
        kept = [each for each in self._unread if channel not in ("", each[0])]
        found = [pub["data"] for name, pub in self._unread if channel in ("", name)]
        self._unread = deque(kept)
        return found

    @property
    def pushes(self) -> list[dict[str, Any]]:
        """All that the server has pushed, as it was sent: publications, joins, leaves and the like."""
        return self.wire.pushes

    def _note_recovered(self, channel: str, result: dict[str, Any]) -> None:
        self._unread.extend((channel, pub) for pub in result.get("publications", ()))

    def _gather(self) -> None:
        """Take in the publications that were pushed since the last time."""
        fresh = self.wire.pushes[self._pushes_read :]
        self._pushes_read += len(fresh)
        self._unread.extend((push.get("channel", ""), push["pub"]) for push in fresh if "pub" in push)

    def _find(self, channel: str) -> tuple[str, dict[str, Any]] | None:
        self._gather()
        return next((each for each in self._unread if channel in ("", each[0])), None)
