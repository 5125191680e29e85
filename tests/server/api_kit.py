"""A server in memory with its API, users who come with a token that is their name, and a caller."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wsloop.hub.grants import Identity, SubscriptionToken
from wsloop.hub.namespaces import Namespace, dev_namespaces
from wsloop.hub.options import HubOptions
from wsloop.hub.verifier import Verifier
from wsloop.server.assembly import CONNECTION_PATH, Options
from wsloop.testing.client import MessagingMemoryClient
from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from wsloop.testing.client import MemoryClient

ADMIN = TcpBind("127.0.0.1", 8766)
KEY = "a-key-of-the-tests"

NAMESPACES = {
    **dev_namespaces(),
    "group": Namespace(history_size=10, history_ttl_s=60.0, allow_subscribe_for_client=True),
    "bare": Namespace(allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True),
}


class NamedTokens(Verifier):
    """A token is its user's name."""

    def verify_connection(self, token: str, unix_s: float) -> Identity:
        return Identity(token, meta=b'{"plan":"%b"}' % token.encode(), token_id=f"id-{token}", issued_at=7)

    def verify_subscription(self, token: str, unix_s: float) -> SubscriptionToken:
        raise NotImplementedError


class ApiHouse(MemoryServer):
    """The server; `call` asks its API something and waits for the answer."""

    def __init__(self, *, key: str | None = KEY, seed: int = 11, **hub: Any) -> None:
        options = Options(dev=True, api_key=key, namespaces=NAMESPACES, hub=HubOptions(**hub))
        super().__init__(seed=seed, options=options)
        self.hub.verifier = NamedTokens()
        self.server.listen_admin(ADMIN, self.admin)

    def user(self, name: str, /, **connect: object) -> MessagingMemoryClient:
        """Return a client of this user's that is connected."""
        client = self.dial(MessagingMemoryClient)
        client.upgrade(CONNECTION_PATH)
        number = client.command(connect={"token": name, **connect})
        self.run_until(lambda: number in client.replies or client.close_frame)
        return client

    def id_of(self, client: MessagingMemoryClient) -> str:
        found: str = client.replies[1]["connect"]["client"]
        return found

    def send(self, data: bytes) -> MemoryClient:
        """Send raw bytes to the admin listener."""
        client = self.dial(at=ADMIN)
        client.send_bytes(data)
        return client

    def exchange(self, data: bytes) -> tuple[int, bytes]:
        """Send a request and return the status and the body of the answer."""
        client = self.send(data)
        self.run_until(lambda: is_complete(client.http) or client.is_gone)
        head, _, body = client.http.partition(b"\r\n\r\n")
        client.close()
        return int(head.split(b" ", 2)[1]), body

    def call(self, method: str, /, **fields: object) -> Any:
        """Call a method; return its result, or the number of its error."""
        status, body = self.exchange(post(method, json.dumps(fields).encode()))
        answer = json.loads(body)
        assert status == 200, answer
        if "error" in answer:
            assert answer["error"]["message"]
            return answer["error"]["code"]
        return answer if method == "batch" else answer["result"]


def post(method: str, body: bytes, *headers: str, key: str = KEY) -> bytes:
    """Return a request's bytes."""
    lines = [f"POST /api/{method} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    if key:
        lines.append(f"X-API-Key: {key}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def is_complete(answer: bytes) -> bool:
    """Tell whether one whole answer with a Content-Length is there."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(lengths) and len(body) >= int(lengths[0].partition(b":")[2])
