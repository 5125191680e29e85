"""Follow a channel: follow.py [address]. A line is published; `off` and `on` unplug it; Ctrl+D leaves."""

# ruff: noqa: ANN001, ANN201, D101, D102, D103, T201 - a lesson, to be read at one sitting
import asyncio
import sys

from centrifuge import CentrifugeError, Client, SubscriptionEventHandler

ADDRESS = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8765/connection/websocket"


def say(text):
    print("".join(char if char.isprintable() else "?" for char in text), flush=True)


class Follower(SubscriptionEventHandler):
    async def on_subscribed(self, ctx):
        if not ctx.was_recovering:
            say("-- subscribed")
        else:
            say("-- back, nothing is lost" if ctx.recovered else "-- back, but something is lost")

    async def on_subscribing(self, ctx):
        say("-- not subscribed")

    async def on_publication(self, ctx):
        say(f"{ctx.pub.offset:>4}  {ctx.pub.data}")


async def main():
    client = Client(ADDRESS)
    news = client.new_subscription("news:today", Follower())
    await client.connect()
    await news.subscribe()
    while line := await asyncio.to_thread(sys.stdin.readline):
        text = line.rstrip("\n")
        if text == "off":
            await client.disconnect()
        elif text == "on":
            await client.connect()
        else:
            try:
                await news.publish(text)
            except CentrifugeError as error:
                say(f"-- not sent: {error}")
    await client.disconnect()


asyncio.run(main())
