"""Services: requests with bodies below a prefix, whose answers may come later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wsloop.errors import HandshakeError
from wsloop.server.app import Answered, App, Response, Service
from wsloop.server.pages import text_page
from wsloop.server.server import ADMIN_CONNECTIONS
from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.protocol.events import Request
    from wsloop.testing.client import MemoryClient

ADMIN = TcpBind("127.0.0.1", 8766)


class Clerk(Service):
    """Answers when it is told to: `/work/now` at once, anything else by `finish`."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Request, Answered]] = []

    def admit(self, request: Request) -> int:
        if request.path == "/work/closed":
            raise HandshakeError(403, "closed today")
        return 1000

    def answer(self, request: Request, done: Answered) -> None:
        if request.path == "/work/refused":
            raise HandshakeError(409, "not like this")
        if request.path == "/work/now":
            done(Response(200, b"now:" + request.body))
        else:
            self.waiting.append((request, done))

    def finish(self, text: bytes = b"later:") -> None:
        request, done = self.waiting.pop(0)
        done(Response(200, text + request.body))


class Office(MemoryServer):
    """A server with a clerk on its admin listener."""

    def __init__(self) -> None:
        super().__init__(seed=3)
        self.clerk = Clerk()
        pages = {"/healthz": text_page("ok\n")}
        self.server.listen_admin(ADMIN, App({}, pages, services={"/work/": self.clerk}))

    def visit(self, *requests: bytes) -> MemoryClient:
        client = self.dial(at=ADMIN)
        client.send_bytes(b"".join(requests))
        return client


@pytest.fixture
def office() -> Iterator[Office]:
    with Office() as made:
        yield made
    assert made.network.open_descriptors() == {}


def post(path: str, body: bytes = b"", *headers: bytes) -> bytes:
    lines = [b"POST %b HTTP/1.1" % path.encode(), b"Host: a", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", b""]) + body


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


def bodies(client: MemoryClient) -> list[bytes]:
    """The bodies answered so far; none of these has an empty line in it."""
    return [part.split(b"\r\n\r\n", 1)[1] for part in client.http.split(b"HTTP/1.1 ")[1:]]


def test_answers_come_in_the_order_of_the_requests_however_late_the_first_is(office: Office) -> None:
    client = office.visit(post("/work/slow", b"a"), post("/work/now", b"b"), HEALTH, post("/work/slow", b"c"))
    office.run_for(5.0)
    assert bodies(client) == []
    office.clerk.finish()
    office.run_until(lambda: office.clerk.waiting)
    office.run_for(5.0)
    assert bodies(client) == [b"later:a", b"now:b", b"ok\n"]
    office.clerk.finish()
    office.run_until(lambda: len(bodies(client)) == 4)
    client.send_bytes(post("/work/now", b"d"))
    office.run_until(lambda: bodies(client)[-1] == b"now:d")


def test_one_that_waits_disturbs_nobody_else(office: Office) -> None:
    waiting = office.visit(post("/work/slow", b"a"))
    office.run_until(lambda: office.clerk.waiting)
    other = office.visit(post("/work/now", b"b"))
    office.run_until(lambda: bodies(other) == [b"now:b"])
    assert not bodies(waiting)


def test_no_answer_in_time_is_504_and_one_that_comes_too_late_is_dropped(office: Office) -> None:
    client = office.visit(post("/work/slow"), HEALTH)
    office.run_until(lambda: client.is_gone)
    assert client.http.startswith(b"HTTP/1.1 504 ")
    assert client.http.count(b"HTTP/1.1 ") == 1
    office.clerk.finish()
    office.run_for(1.0)


@pytest.mark.parametrize("how", ["close", "reset", "vanish"])
def test_a_peer_that_does_not_wait_for_its_answer_leaves_nothing_behind(office: Office, how: str) -> None:
    client = office.visit(post("/work/slow"))
    office.run_until(lambda: office.clerk.waiting)
    getattr(client, how)()
    office.run_for(1.0)
    office.clerk.finish()
    office.run_until(lambda: not len(office.server.registry), within_s=120)


def test_a_refusal_closes_and_names_its_reason(office: Office) -> None:
    for path, status in (("/work/closed", 403), ("/work/refused", 409)):
        client = office.visit(post(path, b"x"))
        office.run_until(lambda: client.is_gone)  # noqa: B023
        assert client.http.startswith(b"HTTP/1.1 %d " % status)


def test_a_body_over_the_services_limit_is_413(office: Office) -> None:
    client = office.visit(post("/work/now", b"x" * 1001))
    office.run_until(lambda: client.is_gone)
    assert client.http.startswith(b"HTTP/1.1 413 ")


def test_a_body_that_dribbles_is_408_and_never_reaches_the_service(office: Office) -> None:
    client = office.visit(post("/work/slow", b"x" * 100)[:-90])
    office.run_until(lambda: client.is_gone)
    assert client.http.startswith(b"HTTP/1.1 408 ")
    assert not office.clerk.waiting


def test_a_client_that_waits_for_100_is_told_to_go_on(office: Office) -> None:
    request = post("/work/now", b"hello", b"Expect: 100-continue")
    client = office.visit(request[:-5])
    office.run_until(lambda: client.http.startswith(b"HTTP/1.1 100 "))
    client.send_bytes(b"hello")
    office.run_until(lambda: client.http.endswith(b"now:hello"))


def test_a_drain_waits_for_the_answer_and_ends_the_connection_behind_it(office: Office) -> None:
    client = office.visit(post("/work/slow", b"a"), HEALTH)
    office.run_until(lambda: office.clerk.waiting)
    drained: list[None] = []
    office.server.drain(lambda: drained.append(None))
    office.run_for(1.0)
    assert not drained
    office.clerk.finish()
    office.run_until(lambda: client.is_gone and drained)
    assert bodies(client) == [b"later:a"]
    assert b"connection: close" in client.http.lower()


def test_the_public_listener_does_not_serve_it(office: Office) -> None:
    client = office.dial()
    client.send_bytes(post("/work/now", b"x"))
    office.run_until(lambda: client.is_gone)
    assert client.http.startswith(b"HTTP/1.1 404 ")


def test_the_operator_gets_in_when_clients_no_longer_do() -> None:
    with Office() as office:
        office.server._admission._max_connections = 1
        client = office.connect("/echo")
        refused = office.connect("/echo")
        assert refused.http.startswith(b"HTTP/1.1 503 ")
        admin = office.visit(HEALTH)
        office.run_until(lambda: bodies(admin) == [b"ok\n"])
        admin.close()
        client.close()
        office.run_until(lambda: not len(office.server.registry))
        assert office.connect("/echo").is_open


def test_the_operators_connections_are_bounded_too(office: Office) -> None:
    crowd = [office.visit(post("/work/slow")) for _ in range(ADMIN_CONNECTIONS)]
    office.run_until(lambda: len(office.clerk.waiting) == len(crowd))
    late = office.visit(HEALTH)
    office.run_until(lambda: late.is_gone)
    assert late.http.startswith(b"HTTP/1.1 503 ")
    assert office.connect("/echo").is_open
