"""picows by its core API, listeners with callbacks, on asyncio or uvloop.

It hands over frames, not messages, and does not look whether text is UTF-8: what its echo and its fan-out
cost is without that. Pings are answered by itself; limits are its defaults; it cannot compress.
"""

from __future__ import annotations

import asyncio
import signal

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from tools.bench.servers.options import Options, parse_options, ready

DATA = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION)
subscribers: set[WSTransport] = set()


def answer_close(transport: WSTransport, frame: WSFrame) -> None:
    """End the closing handshake, as its documentation shows."""
    transport.send_close(frame.get_close_code(), frame.get_close_message())
    transport.disconnect()


class Echo(WSListener):  # type: ignore[misc]  # its types are not looked at (setup.cfg)
    """Sends every frame back."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Echo data; the payload is sent from where it was received."""
        if frame.msg_type in DATA:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview(), frame.fin)
        elif frame.msg_type is WSMsgType.CLOSE:
            answer_close(transport, frame)


class FanOut(WSListener):  # type: ignore[misc]  # as above
    """Sends every message to all."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Join."""
        subscribers.add(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Publish."""
        if frame.msg_type is WSMsgType.TEXT:
            message = frame.get_payload_as_bytes()
            for each in subscribers:
                each.send(WSMsgType.TEXT, message)
        elif frame.msg_type is WSMsgType.CLOSE:
            answer_close(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Leave."""
        subscribers.discard(transport)


def listener(request: WSUpgradeRequest) -> WSListener:
    """Choose by the path."""
    return FanOut() if request.path == b"/fanout" else Echo()


async def main(options: Options) -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = await ws_create_server(listener, options.host, options.port)
    ready(server.sockets[0].getsockname()[1])
    await stopped.wait()


if __name__ == "__main__":
    chosen = parse_options(__doc__)
    if chosen.loop == "uvloop":
        import uvloop

        uvloop.run(main(chosen))
    else:
        asyncio.run(main(chosen))
