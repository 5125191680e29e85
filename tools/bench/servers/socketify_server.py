"""socketify: uWebSockets (C++) with handlers in Python; its topics do the fan-out.

Its largest message is 16 KiB by default and its largest backlog 64 KiB: both are raised to what the
cells need. It sends no pings by itself.
"""

from __future__ import annotations

from typing import Protocol

from socketify import App, AppListenOptions, CompressOptions

from tools.bench.servers.options import Options, parse_options, ready

MESSAGE_BYTES = 4 * 1024 * 1024
BACKLOG_BYTES = 16 * 1024 * 1024
TOPIC = "all"


class Connection(Protocol):
    """What is used of its WebSocket; it brings no types."""

    def send(self, message: str | bytes, opcode: int) -> object:
        """Send one message."""

    def subscribe(self, topic: str) -> object:
        """Join a topic."""

    def publish(self, topic: str, message: str | bytes, opcode: int, compress: bool) -> object:
        """Send one message to all who joined."""


def main(options: Options) -> None:
    """Serve until the process is ended."""
    app = App(lifespan=False)
    limits = {
        "max_payload_length": MESSAGE_BYTES,
        "max_backpressure": BACKLOG_BYTES,
        "compression": CompressOptions.SHARED_COMPRESSOR if options.deflate else CompressOptions.DISABLED,
    }

    def echo(connection: Connection, message: str | bytes, opcode: int) -> None:
        connection.send(message, opcode)

    def join(connection: Connection) -> None:
        connection.subscribe(TOPIC)

    def fan_out(connection: Connection, message: str | bytes, opcode: int) -> None:
        connection.publish(TOPIC, message, opcode, options.deflate)

    app.ws("/echo", {**limits, "message": echo})
    app.ws("/fanout", {**limits, "open": join, "message": fan_out})
    app.listen(AppListenOptions(port=options.port, host=options.host), lambda config: ready(config.port))
    app.run()


if __name__ == "__main__":
    main(parse_options(__doc__))
