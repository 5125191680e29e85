"""Chat in the page's lobby from a terminal: chat_client.py [name] [address]. Ctrl+D leaves."""

# ruff: noqa: ANN001, ANN201, D101, D102, D103, T201 - a lesson, to be read at one sitting
import asyncio
import sys

from centrifuge import CentrifugeError, Client, StreamPosition, SubscriptionEventHandler

NAME = sys.argv[1] if len(sys.argv) > 1 else "terminal"
ADDRESS = sys.argv[2] if len(sys.argv) > 2 else "ws://127.0.0.1:8765/connection/websocket"


def say(line):
    print("".join(char if char.isprintable() else "?" for char in line), flush=True)


def name_of(info):
    said = info.conn_info  # whatever JSON that client sent when it connected
    return str(said["name"]) if isinstance(said, dict) and "name" in said else info.client[:8]


def show(pub):
    data = pub.data if isinstance(pub.data, dict) else {"text": pub.data}
    say(f"{pub.offset:>4}  {data.get('name', '?')}: {data.get('text', '')}")


class Lobby(SubscriptionEventHandler):
    async def on_subscribed(self, ctx):
        self.position = ctx.stream_position  # what is published from here on arrives by itself
        say("-- back, and nothing was missed" if ctx.recovered else "-- connected")

    async def on_publication(self, ctx):
        show(ctx.pub)

    async def on_join(self, ctx):
        say(f"-- {name_of(ctx.info)} came")

    async def on_leave(self, ctx):
        say(f"-- {name_of(ctx.info)} left")


async def main():
    client, lobby = Client(ADDRESS, data={"name": NAME}), Lobby()
    room = client.new_subscription("chat:lobby", lobby, recoverable=True, join_leave=True)
    await client.connect()
    await room.subscribe()
    say("present: " + ", ".join(name_of(info) for info in (await room.presence()).clients.values()))
    behind = StreamPosition(lobby.position.offset + 1, lobby.position.epoch)
    for pub in reversed((await room.history(limit=10, since=behind, reverse=True)).publications):
        show(pub)
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            await room.publish({"text": line.rstrip("\n"), "name": NAME})
        except CentrifugeError as error:
            say(f"-- not sent: {error}")
    await client.disconnect()


asyncio.run(main())
