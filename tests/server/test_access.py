"""The access log, and what every line says of its connection: number, user, trace."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.server.api_kit import ADMIN, KEY, ApiHouse
from wsloop.daemon.log_format import TextFormat
from wsloop.hub.grants import Identity
from wsloop.hub.verifier import NoTokens
from wsloop.server import access
from wsloop.server.assembly import CONNECTION_PATH, Options
from wsloop.testing.client import MessagingMemoryClient
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = ("Traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01")


class AnyToken(NoTokens):
    """The token is the user's name."""

    def verify_connection(self, token: str, unix_s: float) -> Identity:
        """Return whoever the token says it is."""
        return Identity(token)


@pytest.fixture
def house(caplog: pytest.LogCaptureFixture) -> Iterator[MemoryServer]:
    caplog.set_level(logging.DEBUG, "wsloop.server")
    with MemoryServer(seed=4, options=Options(dev=True, verifier=AnyToken())) as made:
        yield made


@pytest.fixture
def access_log() -> Iterator[None]:
    access.switch(is_on=True)
    yield
    access.switch(is_on=False)


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *headers, "", ""]).encode()


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [vars(record) for record in caplog.records if record.name == access.ACCESS_LOGGER]


def join(house: MemoryServer, user: str, *headers: tuple[str, str]) -> MessagingMemoryClient:
    client = house.dial(MessagingMemoryClient)
    client.upgrade(f"{CONNECTION_PATH}?token=secret", headers)
    number = client.command(connect={"token": user} if user else {})
    house.run_until(lambda: number in client.replies)
    return client


def ask(house: MemoryServer, data: bytes) -> bytes:
    client = house.dial()
    client.send_bytes(data)
    house.run_until(lambda: client.http)
    house.run_for(0.1)
    client.close()
    return client.http


def test_it_is_off_unless_it_is_asked_for(house: MemoryServer, caplog: pytest.LogCaptureFixture) -> None:
    ask(house, get("/healthz"))
    house.connect("/echo").close()
    house.run_for(1.0)
    assert lines(caplog) == []


@pytest.mark.usefixtures("access_log")
@pytest.mark.parametrize(
    ("method", "path", "status", "size"),
    [
        ("GET", "/healthz", 200, 3),
        ("HEAD", "/healthz", 200, 0),
        ("GET", "/nothing", 404, None),
        ("POST", "/", 405, None),
        ("GET", "/echo", 426, None),
    ],
)
def test_an_answer_is_a_line_with_its_fields(
    house: MemoryServer,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    status: int,
    size: int | None,
) -> None:
    answer = ask(house, get(f"{path}?token=secret", "User-Agent: probe/1", method=method))
    body = answer.partition(b"\r\n\r\n")[2]
    (line,) = lines(caplog)
    assert line["method"] == method
    assert line["path"] == path
    assert line["status"] == status
    assert line["bytes"] == len(body)
    assert size in (None, line["bytes"])
    assert line["duration_ms"] == 0
    assert line["user_agent"] == "probe/1"
    assert str(line["peer"]).startswith("127.0.0.1:")
    assert "secret" not in caplog.text
    assert f'"{method} {path}" {status} ' in caplog.text


@pytest.mark.usefixtures("access_log")
def test_what_is_no_request_has_a_line_too_and_nothing_of_the_one_before(
    house: MemoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    ask(house, get("/healthz", "User-Agent: probe/1", "traceparent: " + TRACEPARENT[1]) + b"\x16\x03\r\n\r\n")
    good, bad = lines(caplog)
    assert (good["path"], good["status"], good["trace_id"]) == ("/healthz", 200, TRACE_ID)
    assert (bad["method"], bad["path"], bad["status"], bad["user_agent"]) == ("-", "-", 400, "")
    assert bad["trace_id"] != TRACE_ID


@pytest.mark.usefixtures("access_log")
def test_a_websocket_has_a_line_at_its_beginning_and_one_at_its_end(
    house: MemoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = join(house, "ann", TRACEPARENT, ("User-Agent", "sdk/2"))
    house.run_for(5.0)
    house.server.drain(lambda: None)
    house.run_until(lambda: client.is_gone)
    house.run_for(1.0)
    began, ended = lines(caplog)
    assert (began["status"], began["path"]) == (101, CONNECTION_PATH)
    assert (ended["code"], ended["path"], ended["user"]) == (3001, CONNECTION_PATH, "ann")
    assert ended["trace_id"] == began["trace_id"] == TRACE_ID
    assert ended["conn"] == began["conn"]
    assert ended["user_agent"] == "sdk/2"
    assert isinstance(ended["duration_s"], float)
    assert 5.0 <= ended["duration_s"] < 10.0
    assert "secret" not in caplog.text


@pytest.mark.usefixtures("access_log")
def test_a_page_as_a_user_agent_is_cut(house: MemoryServer, caplog: pytest.LogCaptureFixture) -> None:
    ask(house, get("/healthz", "User-Agent: " + "x" * 5000))
    (line,) = lines(caplog)
    assert line["user_agent"] == "x" * 256


# -- lines about connections ------------------------------------------------------------------


def bad_frame(client: MessagingMemoryClient) -> None:
    client.send_bytes(b"\x83\x80\0\0\0\0")  # opcode 3 is reserved


def the_failure(caplog: pytest.LogCaptureFixture) -> dict[str, object]:
    (found,) = (vars(record) for record in caplog.records if "failed: 1002" in record.getMessage())
    return found


def fail(house: MemoryServer, client: MessagingMemoryClient) -> None:
    bad_frame(client)
    house.run_until(lambda: client.close_frame)


def test_a_line_names_the_connection_the_user_and_the_trace_that_came(
    house: MemoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    fail(house, join(house, "ann", TRACEPARENT))
    line = the_failure(caplog)
    assert (line["conn"], line["user"], line["trace_id"]) == (1, "ann", TRACE_ID)
    record = next(each for each in caplog.records if "failed: 1002" in each.getMessage())
    assert TextFormat().format(record).endswith(f" [conn=1 user=ann trace_id={TRACE_ID}]")


def test_without_one_the_trace_is_the_clients_id(
    house: MemoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = join(house, "")
    client_id = client.replies[1]["connect"]["client"]
    fail(house, client)
    line = the_failure(caplog)
    assert line["trace_id"] == client_id.replace("-", "")
    assert "user" not in line


def test_where_there_is_no_client_a_trace_is_made_once(
    house: MemoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = house.connect("/echo")
    (connection,) = house.server.registry.snapshot()
    assert connection.story is None  # nothing is made before it is needed
    client.send_bytes(b"\x83\x80\0\0\0\0")
    house.run_until(lambda: client.close_frame)
    line = the_failure(caplog)
    client.close()
    house.run_for(1.0)
    of_connection = {vars(record)["trace_id"] for record in caplog.records if hasattr(record, "conn")}
    assert of_connection == {line["trace_id"]}


def test_a_trace_in_bad_form_is_none(house: MemoryServer, caplog: pytest.LogCaptureFixture) -> None:
    fail(house, join(house, "ann", ("Traceparent", "00-" + "g" * 32 + "-00f067aa0ba902b7-01")))
    assert "g" not in str(the_failure(caplog)["trace_id"])


@pytest.mark.usefixtures("access_log")
@pytest.mark.parametrize(
    ("headers", "status"),
    [(("Content-Length: 2",), 401), (("Content-Length: 999999999", f"X-API-Key: {KEY}"), 413)],
)
def test_a_call_that_is_refused_for_its_head_is_in_the_access_log_as_what_it_was(
    caplog: pytest.LogCaptureFixture, headers: tuple[str, ...], status: int
) -> None:
    with ApiHouse() as house:
        client = house.dial(at=ADMIN)
        client.sock.send(get("/api/publish?secret", *headers, ": ".join(TRACEPARENT), method="POST"))
        house.run_until(lambda: bool(lines(caplog)))
    (line,) = lines(caplog)
    found = [line[name] for name in ("method", "path", "status", "trace_id")]
    assert found == ["POST", "/api/publish", status, TRACE_ID]
