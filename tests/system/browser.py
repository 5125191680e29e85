"""What the Chromium tests need: a daemon to kill, a browser, and a server that says what the test wants."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from wsloop.server.pages import content_security_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, BrowserContext, Page, Route, WebSocketRoute

COMMAND = [sys.executable, "-m", "wsloop", "serve", "--dev", "--port"]
PAGE = Path(__file__).parents[2] / "wsloop" / "server" / "page.html"
PATIENCE_MS = 30_000.0
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Every socket the page opens is kept where a test can close it, as a broken cable would.
KEEP_SOCKETS = """
    const Original = WebSocket;
    window.sockets = [];
    window.WebSocket = class extends Original {
        constructor(...args) { super(...args); window.sockets.push(this); }
    };
"""
CUT = "sockets.at(-1).close()"


def chromium_path() -> str:
    """Return the browser's path; without one, skip with the command that brings it, or fail in CI."""
    found = shutil.which("chromium")
    if found is None:
        reason = "Chromium is not installed: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Daemon:
    """`wsloop serve --dev` as its own process, always on the same port."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.output: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start and wait for the banner."""
        process = subprocess.Popen(
            [*COMMAND, str(self.port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        listening = threading.Event()
        self._process = process
        self._reader = threading.Thread(target=self._read, args=(process, listening))
        self._reader.start()
        if not listening.wait(PATIENCE_MS / 1000) or process.poll() is not None:
            self.kill()
            pytest.fail("the daemon did not start:\n" + "".join(self.output))

    def _read(self, process: subprocess.Popen[str], listening: threading.Event) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line)
            if self.url.rstrip("/") in line:
                listening.set()
        process.wait()
        listening.set()  # it ended: the waiting test need not wait longer

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL, no close frames."""
        if self._process is None or self._reader is None:
            return
        self._process.kill()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None


class Tab:
    """One visitor: a context of its own, so that going offline or a name in storage is theirs alone."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self._complain(message.text))
        self.page.on("pageerror", lambda error: self._complain(str(error)))
        self.page.add_init_script(KEEP_SOCKETS)

    def _complain(self, text: str) -> None:
        # The browser itself writes this line when a connection fails; no script can prevent it.
        if not text.startswith("WebSocket connection to "):
            self.complaints.append(text)

    def open(self, url: str, name: str | None = None) -> Tab:
        """Go to `url`, wait until connected; type a name where one is given."""
        self.page.goto(url)
        self.is_connected()
        if name is not None:
            self.page.fill("#name", name)
            self.page.press("#name", "Enter")
            expect(self.page.locator("#people")).to_contain_text(name)
            self.is_connected()
        return self

    def stop_clock(self) -> None:
        """Let the page's timers fire by `clock.run_for` only; call before `open`."""
        self.page.clock.install(time=0)
        self.page.clock.pause_at(1)

    def say(self, *texts: str) -> None:
        """Write messages and send each with Enter."""
        for text in texts:
            self.page.fill("#text", text)
            self.page.press("#text", "Enter")

    def is_connected(self) -> None:
        """Wait for the state to say so."""
        expect(self.page.locator("#state")).to_have_text("connected")

    def is_reconnecting(self) -> None:
        """Wait for the state to say so."""
        expect(self.page.locator("#state")).to_have_attribute("data-state", "waiting")

    def has_messages(self, *texts: str) -> None:
        """Wait until the log holds exactly these texts, all of them confirmed by the server."""
        expect(self.page.locator(".message.pending")).to_have_count(0)
        expect(self.page.locator(".message p")).to_have_text(list(texts))

    def has_notice(self, text: str) -> None:
        """Wait for the newest notice to be this one."""
        expect(self.page.locator(".notice").last).to_have_text(text)

    def has_people(self, count: int) -> None:
        """Wait until so many are present."""
        expect(self.page.locator("#people li")).to_have_count(count)


class Script:
    """A server inside the test: answers as a daemon does, and then says whatever the test tells it to."""

    url = "http://127.0.0.1:9/"

    def __init__(self, page: Page) -> None:
        self.received: list[dict[str, Any]] = []
        self.sockets: list[WebSocketRoute] = []
        self.subscribed: dict[str, Any] = {"recoverable": True, "positioned": True, "epoch": "abcd"}
        self.history: list[dict[str, Any]] = []
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {}
        html = PAGE.read_text(encoding="utf-8")
        headers = {"Content-Security-Policy": content_security_policy(html)}

        def serve(route: Route) -> None:
            route.fulfill(body=html, content_type="text/html; charset=utf-8", headers=headers)

        page.route(self.url, serve)
        page.route_web_socket("**/connection/websocket", self._accept)

    def _accept(self, socket_route: WebSocketRoute) -> None:
        self.sockets.append(socket_route)
        socket_route.on_message(lambda frame: self._receive(socket_route, str(frame)))

    def _receive(self, socket_route: WebSocketRoute, frame: str) -> None:
        for line in frame.split("\n"):
            command = json.loads(line)
            self.received.append(command)
            method = next((key for key in command if key != "id"), None)
            if method is not None:
                answer = self.answers.get(method, self._answer)(command)
                if answer is not None:
                    socket_route.send(json.dumps({"id": command["id"], **answer}))

    def _answer(self, command: dict[str, Any]) -> dict[str, Any]:
        answers: dict[str, dict[str, Any]] = {
            "connect": {"connect": {"client": "c1", "ping": 25, "pong": True}},
            "subscribe": {"subscribe": self.subscribed},
            "presence": {"presence": {"presence": {}}},
            "history": {
                "history": {
                    "publications": self.history[::-1],
                    "epoch": self.subscribed["epoch"],
                    "offset": len(self.history),
                }
            },
            "publish": {"publish": {}},
        }
        return answers[next(key for key in command if key != "id")]

    def push(self, *bodies: dict[str, Any]) -> None:
        """Send pushes of the lobby, all in one frame."""
        lines = [json.dumps({"push": {"channel": "chat:lobby", **body}}) for body in bodies]
        self.sockets[-1].send("\n".join(lines))

    def commands(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of all commands of one kind, oldest first."""
        return [command[method] for command in self.received if method in command]


def publication(offset: int, text: str = "", sender: str = "Eve") -> dict[str, Any]:
    """Return a publication as the server words it."""
    return {
        "data": {"text": text or f"message {offset}", "name": sender},
        "offset": offset,
        "info": {"user": "", "client": "eve-0001"},
    }


def side_by_side(browser: Browser, pictures: list[bytes], width: int, height: int, path: Path) -> None:
    """Write one picture of several screenshots of `width` x `height` pixels, placed beside each other."""
    images = "".join(
        f'<img src="data:image/png;base64,{base64.b64encode(picture).decode()}">' for picture in pictures
    )
    gap = 24
    with browser.new_context(device_scale_factor=1.5) as context:
        page = context.new_page()
        page.set_viewport_size({"width": (width + gap) * len(pictures) + gap, "height": height + 2 * gap})
        page.set_content(
            f"<style>body {{ margin: 0; padding: {gap}px; display: flex; gap: {gap}px; background: #c9d3d0 }}"
            f"img {{ width: {width}px; height: {height}px; border-radius: 12px;"
            f"box-shadow: 0 6px 20px #0003 }}</style>{images}"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path)
