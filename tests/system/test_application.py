"""A real daemon and a real HTTP application behind it: questions, bad answers, breaker, hooks, kill -9."""

from __future__ import annotations

import contextlib
import json
import signal
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as dial

from tests.system.application import Application
from tests.system.daemon import PATIENCE_S, Daemon
from tests.transport.tls_kit import authority, write_pair

if TYPE_CHECKING:
    from pathlib import Path

    from websockets.sync.client import ClientConnection

pytestmark = pytest.mark.system

QUESTIONS = ("connect", "subscribe", "publish", "rpc", "send")


class Talk:
    """A messaging client over a real WebSocket; `ask` waits for the reply, keeping what comes before."""

    def __init__(self, daemon: Daemon, headers: dict[str, str] | None = None) -> None:
        self._stack = contextlib.ExitStack()
        url = daemon.url("/connection/websocket")
        self.socket: ClientConnection = self._stack.enter_context(
            dial(url, additional_headers=headers, open_timeout=PATIENCE_S)
        )
        self.pushes: list[Any] = []
        self._last_id = 0

    def ask(self, **command: object) -> dict[str, Any]:
        self._last_id += 1
        self.socket.send(json.dumps({"id": self._last_id, **command}))
        while True:
            for line in str(self.socket.recv(PATIENCE_S)).split("\n"):
                message: dict[str, Any] = json.loads(line)
                if message.get("id") == self._last_id:
                    return message
                if "push" in message:
                    self.pushes.append(message["push"])

    def say(self, **command: object) -> None:
        self.socket.send(json.dumps(command))

    def close(self) -> None:
        self._stack.close()


def config(folder: Path, application: Application, extra: str = "", hooks: str = "") -> str:
    """Write a configuration with every question asked; return the options that use it."""
    urls = "\n".join(f'{name} = "{application.url(name)}"' for name in QUESTIONS)
    text = (
        f'[admin]\nenabled = false\n[proxy]\n{urls}\nheaders = ["cookie"]\n{extra}\n'
        "[channels]\nsubscribe_proxy = true\npublish_proxy = true\n"
    )
    if hooks:
        text += f'[hooks]\nurl = "{application.url("hooks")}"\n{hooks}\n'
    path = folder / "wsloop.toml"
    path.write_text(text)
    return str(path)


def serve(path: str) -> Daemon:
    return Daemon("-c", path, dev=False)


def test_every_question_reaches_the_application(tmp_path: Path) -> None:
    with Application() as application, serve(config(tmp_path, application)) as daemon:
        application.answers["connect"] = lambda body: {"result": {"user": body["data"]["key"]}}
        application.answers["rpc"] = lambda body: {"result": {"data": body["data"] * 2}}
        application.answers["publish"] = lambda body: {"result": {"data": body["data"].upper()}}
        talk = Talk(daemon, {"Cookie": "session=1"})
        assert "connect" in talk.ask(connect={"data": {"key": "ann"}})
        assert "subscribe" in talk.ask(subscribe={"channel": "news"})
        talk.say(send={"data": "psst"})
        assert talk.ask(publish={"channel": "news", "data": "hi"})["publish"] == {}
        assert talk.ask(rpc={"method": "double", "data": 21})["rpc"] == {"data": 42}
        application.wait_for(lambda: any(name == "send" for name, _ in application.asked))
        assert talk.pushes[0]["pub"]["data"] == "HI"
        bodies = dict(application.asked)
        assert set(bodies) == set(QUESTIONS)
        assert all(body["user"] == "ann" for name, body in bodies.items() if name != "connect")
        talk.close()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert "Traceback" not in daemon.stderr()


@pytest.mark.parametrize(
    "bad",
    [
        b"RAW ",
        b"RAW HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
        b"RAW \x00\x01\r\n\r\n",
        b"{",
        b"x" * 2_000_000,
    ],
)
def test_a_bad_answer_is_error_100_for_one_command(tmp_path: Path, bad: bytes) -> None:
    with Application() as application, serve(config(tmp_path, application)) as daemon:
        application.answers["rpc"] = lambda _body: bad
        talk = Talk(daemon)
        talk.ask(connect={})
        assert talk.ask(rpc={"method": "m"})["error"]["code"] == 100
        assert "subscribe" in talk.ask(subscribe={"channel": "news"})
        talk.close()


def test_an_application_that_hangs_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    gate = threading.Event()

    def hang(_body: object) -> object:
        gate.wait(PATIENCE_S)
        return {"result": {}}

    with Application() as application, serve(config(tmp_path, application, "timeout = 0.5")) as daemon:
        application.answers["rpc"] = hang
        talk, other = Talk(daemon), Talk(daemon)
        talk.ask(connect={})
        other.ask(connect={})
        talk.say(id=50, rpc={"method": "m"})
        application.wait_for(lambda: any(name == "rpc" for name, _ in application.asked))
        assert "subscribe" in other.ask(subscribe={"channel": "news"})
        assert json.loads(talk.socket.recv(PATIENCE_S))["error"]["code"] == 100
        gate.set()
        for peer in (talk, other):
            peer.close()


def test_a_dead_application_is_left_alone_and_found_again(tmp_path: Path) -> None:
    extra = "breaker_failures = 3\nbreaker_pause = 0.2"
    application = Application()
    with application, serve(config(tmp_path, application, extra)) as daemon:
        talk = Talk(daemon)
        talk.ask(connect={})
        application.stop()
        codes = {talk.ask(rpc={"method": "m"}).get("error", {}).get("code") for _ in range(8)}
        assert 100 in codes
        application.start()
        while "error" in talk.ask(rpc={"method": "m"}):
            pass  # at most the pause: each reply comes at once
        talk.close()
        assert "failed too often" in daemon.stderr() or len(codes) > 1


def test_no_application_at_start_refuses_clients_with_a_temporary_error(tmp_path: Path) -> None:
    application = Application()
    application.start()
    application.stop()
    with serve(config(tmp_path, application)) as daemon:
        talk = Talk(daemon)
        reply = talk.ask(connect={})
        assert reply["error"] == {"code": 100, "message": "internal server error", "temporary": True}
        talk.close()


@pytest.fixture
def tls_context(tmp_path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_pair(tmp_path))
    return context


def test_an_application_behind_tls_is_checked_by_the_authority_and_the_name(
    tmp_path: Path, tls_context: ssl.SSLContext
) -> None:
    trusted = tmp_path / "authority.pem"
    authority().cert_pem.write_to_path(str(trusted))
    with Application(context=tls_context) as application:
        with serve(config(tmp_path, application, f'ca_file = "{trusted}"')) as daemon:
            talk = Talk(daemon)
            assert "connect" in talk.ask(connect={})
            assert talk.ask(rpc={"method": "m"})["rpc"] == {}
            talk.close()
        with serve(config(tmp_path, application)) as daemon:
            talk = Talk(daemon)
            assert talk.ask(connect={})["error"]["code"] == 100
            talk.close()
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
            assert "CERTIFICATE_VERIFY_FAILED" in daemon.stderr()


def test_an_application_on_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    with Application(path=path) as application, serve(config(tmp_path, application)) as daemon:
        talk = Talk(daemon)
        assert "connect" in talk.ask(connect={})
        talk.close()


def test_what_happened_before_kill_9_is_told_after_it(tmp_path: Path) -> None:
    application = Application()
    application.start()
    application.stop()
    application.answers["hooks"] = lambda _body: {}
    hooks = f'spool = "{tmp_path / "events"}"\nvacated_grace = 0.1'
    with Application() as asked:
        text = config(tmp_path, asked)
        with open(text, "a", encoding="utf-8") as file:
            file.write(f'[hooks]\nurl = "{application.url("hooks")}"\n{hooks}\n')
        with serve(text) as daemon:
            asked.answers["connect"] = lambda _body: {"result": {"user": "ann"}}
            for _ in range(20):
                talk = Talk(daemon)
                talk.ask(connect={})
                talk.close()
            talk = Talk(daemon)
            talk.ask(connect={})
            talk.ask(subscribe={"channel": "news"})
            talk.ask(rpc={"method": "m"})  # so the turn of the subscription is over
            daemon.kill()
            with pytest.raises(ConnectionClosed):
                talk.socket.recv(PATIENCE_S)
            application.start()
            daemon.start()
            application.wait_for(lambda: sum(event["type"] == "start" for event in application.told()) == 2)
            told = application.told()
            application.stop()
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    kinds = [event["type"] for event in told]
    assert kinds[0] == kinds[-1] == "start"
    assert kinds.count("disconnect") >= 19
    assert "occupied" in kinds


def test_a_spool_that_cannot_be_used_is_told_at_start(tmp_path: Path) -> None:
    with Application() as application:
        path = tmp_path / "events"
        path.write_text("not a spool at all")
        text = config(tmp_path, application, hooks=f'spool = "{path}"')
        with pytest.raises(AssertionError, match="it is not a spool of events"), serve(text):
            pass
        path.unlink()
        with serve(text), pytest.raises(AssertionError, match="in use by another process"), serve(text):
            pass
