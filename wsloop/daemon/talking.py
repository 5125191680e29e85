"""One messaging client as a command of its own: a reactor, the machine's sockets, lines in, lines out.

`pub`, `sub` and `chat` are made of this. The first connection must succeed, or the command ends; one that
is lost later is made again for as long as it takes.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import click

from wsloop.client.client_events import ClientEvents, ClientOptions
from wsloop.client.messaging import MessagingClient
from wsloop.client.names import SystemNames
from wsloop.client.urls import parse_ws_url
from wsloop.client.websocket import Dialer
from wsloop.daemon import streams
from wsloop.daemon.tables import safe
from wsloop.errors import ConfigError, StartupError
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor
from wsloop.loop.threads import HelperThread
from wsloop.loop.wakeup import SocketpairWakeup
from wsloop.server.assembly import CONNECTION_PATH
from wsloop.transport.bind import SocketNetwork

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from wsloop.client.websocket import Ending

CLOSE_WITHIN_S = 3.0
"""For the closing handshake, at the end."""

AGAIN_S = 0.5
"""Before something is asked again that the server could not do: a broker that does not answer is not helped
by a client that asks as fast as it can."""

LINES_AHEAD = 256
"""Lines of standard input that are read before they are dealt with: a large file is not loaded whole."""

INTERRUPTED = 130
"""What a shell tells of a command that was ended by SIGINT."""


class TalkError(StartupError):
    """The command could not do what it was for."""

    exit_code = 1


class Talk(ClientEvents):
    """The life of one client's command. Override what a client tells; call `end` when all is done.

    `token`: what `token_file` holds counts instead, and is read again whenever a token is needed.
    Raises UsageError for a URL that is none, ConfigError for certificates that cannot be used.
    """

    interrupted_code = INTERRUPTED
    """The exit code after Ctrl+C; 0 where that is the ordinary end."""

    def __init__(
        self, url: str, *, token: str, token_file: Path | None, ca_file: str, data: bytes = b""
    ) -> None:
        self.url = url
        place = parse_ws_url(url, CONNECTION_PATH)
        if token_file is not None:
            _check_token_file(token_file)
        self._wakeup = SocketpairWakeup()
        self.reactor = Reactor(MonotonicClock(), make_poller("auto"), wakeup=self._wakeup)
        self._helper = HelperThread(self.reactor)
        names = SystemNames(self._helper, lambda: self.reactor.now)
        dialer = Dialer(self.reactor, SocketNetwork(), names, os.urandom, ca_file=ca_file)
        get_token = None if token_file is None else (lambda done: done(_read_token(token_file)))
        options = ClientOptions(token="" if token_file else token, get_token=get_token, data=data)
        self.client = MessagingClient(dialer, place, self, options)
        self._error: StartupError | None = None
        self._exit_code = 0
        self._was_connected = self._is_ending = False

    # -- its life ------------------------------------------------------------------------------

    def run(self) -> int:
        """Connect, work until `end`, and return the exit code; raises StartupError for a failure."""
        before = [
            (number, signal.signal(number, self._on_signal)) for number in (signal.SIGINT, signal.SIGTERM)
        ]
        wakeup_before = signal.set_wakeup_fd(self._wakeup.write_fileno(), warn_on_full_buffer=False)
        try:
            self.client.connect()
            self.reactor.run()
        finally:
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in before:
                signal.signal(number, handler)
            self.client.close()
            self._helper.close()
            self.reactor.close()
        if self._error is not None:
            raise self._error
        return self._exit_code

    def end(self, exit_code: int = 0) -> None:
        """Close the connection, then end the command. Idempotent."""
        if self._is_ending:
            return
        self._is_ending = True
        self._exit_code = exit_code
        self.client.disconnect()
        self.reactor.call_later(CLOSE_WITHIN_S, self.reactor.stop)
        self._stop_when_closed()

    def fail(self, message: str, hint: str = "") -> None:
        """End with an error."""
        if self._error is None and not self._is_ending:
            self._error = TalkError(safe(message), hint)
        self.end(1)

    def try_again(self, action: Callable[[], object]) -> None:
        """Do `action` after a pause, since the server could not do it now; not if the command ends."""
        self.reactor.call_later(AGAIN_S, lambda: None if self._is_ending else action())

    def _stop_when_closed(self) -> None:
        if self.client.is_closed:
            self.reactor.stop()
        else:
            self.reactor.call_later(0.01, self._stop_when_closed)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.reactor.call_soon_threadsafe(lambda: self.end(self.interrupted_code))

    # -- what the client tells -----------------------------------------------------------------

    def on_failed(self, client: MessagingClient, ending: Ending, retry_s: float) -> None:
        """See `ClientEvents.on_failed`: the first attempt must not fail."""
        if not self._was_connected:
            self.fail(f"cannot connect to {self.url}: {ending.reason}", "is the server running there?")

    def on_connecting(self, client: MessagingClient, code: int, reason: str) -> None:
        """See `ClientEvents.on_connecting`."""
        if self._was_connected and not self._is_ending:
            note(f"connection lost ({reason}), reconnecting")

    def on_connected(self, client: MessagingClient, result: object) -> None:
        """See `ClientEvents.on_connected`."""
        if self._was_connected:
            note("connected again")
        self._was_connected = True

    def on_disconnected(self, client: MessagingClient, code: int, reason: str) -> None:
        """See `ClientEvents.on_disconnected`: the server wants no more of it."""
        if not self._is_ending:
            is_about_token = code in TOKEN_CODES or "token" in reason
            hint = "give a good token: --token-file, or $WSLOOP_TOKEN" if is_about_token else ""
            self.fail(f"the server refuses: {reason} ({code})", hint)

    # -- lines ---------------------------------------------------------------------------------

    def read_lines(
        self, on_line: Callable[[str, Callable[[], None]], None], on_end: Callable[[], None]
    ) -> None:
        """Have each line of standard input dealt with on the loop, then `on_end` called.

        A thread reads, since a file cannot be polled. `on_line` gets the line and what to call when it is
        dealt with: so long it counts against LINES_AHEAD.
        """
        room = threading.Semaphore(LINES_AHEAD)

        def read() -> None:
            try:
                for line in sys.stdin:
                    room.acquire()
                    text = line.rstrip("\n")
                    self.reactor.call_soon_threadsafe(functools.partial(on_line, text, room.release))
            except OSError as error:  # EISDIR, EIO
                fault = f"cannot read standard input: {error.strerror}"
                self.reactor.call_soon_threadsafe(functools.partial(self.fail, fault))
            else:
                self.reactor.call_soon_threadsafe(on_end)

        streams.take_any_bytes()

        threading.Thread(target=read, name="stdin", daemon=True).start()

    def say(self, line: str) -> None:
        """Print a line; the command ends if nobody reads any more."""
        try:
            click.echo(line)
        except BrokenPipeError:
            # What could not be written would be tried again at exit, and fail there.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.end()


TOKEN_CODES = frozenset({101, 103, 109, 3500})
"""Error and close codes that a better token may help against; and 3501, if its reason names one."""


def note(text: str) -> None:
    """Tell the person at the terminal something that is not output."""
    click.echo(safe(text), err=True)


def _check_token_file(path: Path) -> None:
    """Raise ConfigError if there is no token to be read, before anybody is asked."""
    try:
        is_empty = not path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"cannot read {path}: {reason}", "check --token-file") from None
    if is_empty:
        raise ConfigError(f"there is no token in {path}", "wsloop token new makes one")


def _read_token(path: Path) -> str:
    """Return the token in a file, "" if it cannot be read: the client is then not let in."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        note(f"cannot read {path}: {error.strerror if isinstance(error, OSError) else 'not UTF-8'}")
        return ""
