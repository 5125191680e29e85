"""Clients that do anything, over a network that does anything: afterwards the house is at rest.

Each seed is one history, so a failure is replayed by its number. What must hold, whatever
happened: no descriptor, ring, connection, client, subscription or timer is left; no callback
raised; nothing was logged as a fault of our own; every echo is a prefix of what was sent.
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.tls_client import TlsMemoryClient, TlsMessagingMemoryClient, tls_server
from wsloop.server.assembly import CONNECTION_PATH
from wsloop.testing.client import OPCODE_CLOSE, OPCODE_PING, OPCODE_TEXT, MemoryClient, MessagingMemoryClient
from wsloop.testing.network import NetworkFaults
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS: list[type[MemoryClient]] = [MemoryClient, MessagingMemoryClient]
SECURE_KINDS: list[type[MemoryClient]] = [TlsMemoryClient, TlsMessagingMemoryClient, MemoryClient]
"""With TLS, one of three speaks plain HTTP to the port."""
CLIENTS = 8
STEPS = 80


class Chaos:
    """One history: some clients, each doing something at random, step by step."""

    def __init__(self, seed: int, *, is_secure: bool = False) -> None:
        self.is_secure = is_secure
        self.chance = random.Random(seed)
        self.faults = faults = NetworkFaults(
            max_delay_s=self.chance.choice([0.0, 0.05, 2.0]),
            max_read_bytes=self.chance.choice([None, 7, 500]),
            max_write_bytes=self.chance.choice([None, 50, 1000]),
            eagain_chance=self.chance.choice([0.0, 0.3]),
            reset_chance=self.chance.choice([0.0, 0.0, 0.01]),
        )
        self.house = (tls_server if is_secure else MemoryServer)(seed, faults=faults)
        self.resting_timers = self.house.reactor.statistics().timers
        self.clients: list[MemoryClient] = []
        self.sent: dict[int, list[str]] = {}

    def run(self) -> None:
        for _ in range(STEPS):
            if len(self.clients) < CLIENTS or self.chance.random() < 0.05:
                self.enter()
            living = [client for client in self.clients if not client.is_gone]
            if living:
                self.act(self.chance.choice(living))
            if self.chance.random() < 0.5:
                self.house.run_for(self.chance.choice([0.001, 0.1, 3.0]))

    def size(self, *sizes: int) -> int:
        """Draw one; where all comes in tiny pieces a tenth of it, which are pieces enough."""
        is_tiny = self.faults.max_read_bytes == 7 or self.faults.max_write_bytes == 50
        return self.chance.choice(sizes) // (10 if is_tiny else 1)

    def enter(self) -> None:
        kind = self.chance.choice(SECURE_KINDS if self.is_secure else KINDS)
        client = self.house.dial(kind)
        self.clients.append(client)
        self.sent[id(client)] = []
        path = CONNECTION_PATH if issubclass(kind, MessagingMemoryClient) else "/echo"
        if self.chance.random() < 0.2:
            client.send_bytes(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * self.chance.randrange(1, 50))
        if self.chance.random() < 0.9:
            client.upgrade(path if self.chance.random() < 0.95 else "/nowhere")
            if isinstance(client, MessagingMemoryClient):
                client.command(connect={"data": {"name": "chaos"}})

    def act(self, client: MemoryClient) -> None:
        acts: list[Callable[[MemoryClient], Any]] = [self.speak] * 6
        acts += [self.ramble, self.stop, self.go, self.ping, self.leave]
        acts += [self.cut, self.vanish, self.half_close, self.garbage]
        self.chance.choice(acts)(client)

    def speak(self, client: MemoryClient) -> None:
        if isinstance(client, MessagingMemoryClient):
            channel = f"chat:{self.chance.randrange(3)}"
            command = self.chance.choice(["subscribe", "unsubscribe", "presence", "history", "publish"])
            body: dict[str, Any] = {"channel": channel}
            if command == "publish":
                body["data"] = {"text": "x" * self.size(10, 100, 20_000)}
            client.command(**{command: body})
            return
        text = f"{len(self.sent[id(client)])} " + "é" * self.size(0, 10, 3000, 40_000)
        self.sent[id(client)].append(text)
        if self.chance.random() < 0.7:
            client.send_text(text)
            return
        data = text.encode()
        middle = self.chance.randrange(len(data) + 1)
        client.send_frame(OPCODE_TEXT, data[:middle], fin=False)
        client.send_ping(b"between")
        client.send_frame(0, data[middle:])

    def ramble(self, client: MemoryClient) -> None:
        for _ in range(self.chance.randrange(600)):
            if not isinstance(client, MessagingMemoryClient):
                self.sent[id(client)].append("short")
            client.send_text("short" if not isinstance(client, MessagingMemoryClient) else "{}")

    def stop(self, client: MemoryClient) -> None:
        client.stop_reading()

    def go(self, client: MemoryClient) -> None:
        client.resume_reading()

    def ping(self, client: MemoryClient) -> None:
        for _ in range(self.chance.randrange(100)):
            client.send_frame(OPCODE_PING, self.chance.randbytes(self.chance.randrange(126)))

    def leave(self, client: MemoryClient) -> None:
        payload = b"" if self.chance.random() < 0.5 else b"\x0f\xa1leaving"
        client.send_frame(OPCODE_CLOSE, payload)

    def cut(self, client: MemoryClient) -> None:
        client.reset()

    def vanish(self, client: MemoryClient) -> None:
        client.vanish()

    def half_close(self, client: MemoryClient) -> None:
        try:
            client.sock.shutdown(socket.SHUT_WR)
        except OSError:  # ENOTCONN: cut meanwhile
            return

    def garbage(self, client: MemoryClient) -> None:
        noise = self.chance.randbytes(self.chance.randrange(1, 200))
        if self.is_secure and self.chance.random() < 0.5:
            with contextlib.suppress(OSError):  # EAGAIN, or gone meanwhile
                client.sock.send(noise)
        else:
            client.send_bytes(noise)

    def settle(self) -> None:
        """Let everybody go, and every deadline pass."""
        for client in self.clients:
            client.close()
        self.house.run_for(3.0)  # longer than any delay: who is still on the way is accepted first
        self.house.run_until(lambda: not len(self.house.server.registry), within_s=120)
        self.house.run_for(5.0)

    def check(self) -> None:
        house = self.house
        hub = house.hub.statistics()
        assert (hub.clients, hub.channels, hub.subscriptions) == (0, 0, 0)
        assert house.server.statistics().rings_lent == 0
        assert house.reactor.statistics().errors == 0
        assert house.reactor.statistics().timers == self.resting_timers
        for client in self.clients:
            if not isinstance(client, MessagingMemoryClient):
                assert client.texts == self.sent[id(client)][: len(client.texts)]
        house.close()
        assert house.network.open_descriptors() == {}


HISTORIES = [
    *(pytest.param(seed, False, id=str(seed)) for seed in range(30)),
    *(pytest.param(seed, True, id=f"TLS {seed}") for seed in range(15)),
]


@pytest.mark.parametrize(("seed", "is_secure"), HISTORIES)
def test_after_chaos_the_house_is_at_rest(
    seed: int, is_secure: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "wsloop"):
        chaos = Chaos(seed, is_secure=is_secure)
        chaos.run()
        chaos.settle()
        chaos.check()
    faults = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert faults == []
