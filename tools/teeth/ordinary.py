"""An ordinary day: what a newcomer tries first. A planted bug that spoils it is too blunt to prove anything.

`python -m tools.teeth.ordinary` ends with 0 if two clients can chat, one comes back and recovers, texts short
and long are echoed, and two workers share a channel.
"""

from __future__ import annotations

import sys
from pathlib import Path

import wsloop
from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions
from wsloop.server.assembly import Options
from wsloop.testing.cluster import MemoryCluster
from wsloop.testing.server import MemoryServer

OPTIONS = Options(
    namespaces={
        "": Namespace(
            history_size=10,
            history_ttl_s=60.0,
            force_recovery=True,
            presence=True,
            allow_subscribe_for_client=True,
            allow_subscribe_for_anonymous=True,
            allow_publish_for_client=True,
            allow_publish_for_anonymous=True,
        )
    },
    hub=HubOptions(allow_anonymous=True),
)


def chat() -> None:
    """Two talk in a channel; one loses the line, and recovers what it missed."""
    house = MemoryServer(options=OPTIONS)
    ann, ben = house.join("ann"), house.join("ben")
    house.ask(ann, subscribe={"channel": "room"})
    place = house.ask(ben, subscribe={"channel": "room"})["subscribe"]
    house.ask(ann, publish={"channel": "room", "data": "hello"})
    house.run_until(lambda: ben.publications("room") == ["hello"])
    ann.reset()
    house.ask(ben, publish={"channel": "room", "data": "still there?"})
    ann = house.join("ann")
    assert isinstance(place, dict)
    back = house.ask(
        ann, subscribe={"channel": "room", "recover": True, "offset": 1, "epoch": place["epoch"]}
    )["subscribe"]
    assert isinstance(back, dict)
    assert [each["data"] for each in back["publications"]] == ["still there?"], back
    house.close()


def echo() -> None:
    """Short and long texts come back, and the close is answered."""
    house = MemoryServer(options=Options(dev=True))
    client = house.connect()
    texts = ["a", "é" * 300, "x" * 70_000]
    for text in texts:
        client.send_text(text)
    house.run_until(lambda: client.texts == texts)
    client.send_ping(b"?")
    house.run_until(lambda: client.pongs == [b"?"])
    client.send_close()
    house.run_until(lambda: client.is_gone)
    assert client.close_frame == (1000, ""), client.close_frame
    house.close()


def share() -> None:
    """Two workers share a channel."""
    cluster = MemoryCluster(2, options=OPTIONS)
    ann, ben = cluster.workers[0].join("ann"), cluster.workers[1].join("ben")
    cluster.workers[0].ask(ann, subscribe={"channel": "room"})
    cluster.workers[1].ask(ben, subscribe={"channel": "room"})
    cluster.workers[0].ask(ann, publish={"channel": "room", "data": "hello"})
    cluster.run_until(lambda: ben.publications("room") == ["hello"])
    cluster.close()


if __name__ == "__main__":
    assert Path(wsloop.__file__).is_relative_to(Path.cwd()), wsloop.__file__
    for scene in (chat, echo, share):
        scene()
    sys.exit(0)
