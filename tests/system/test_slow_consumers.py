"""Slow consumers with the official Python SDK and a real daemon: what each policy leaves of a flood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.system.cable import Cable
from tests.system.daemon import Daemon
from tests.system.sdk import person, run, soon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.sdk import Person

pytestmark = pytest.mark.system

MESSAGING = "/connection/websocket"
TEXT = "x" * 50_000
COUNT = 400
"""Twenty megabytes: more than both kernels' buffers, the cable and the limit hold together."""

CONFIG = """
[ws]
per_message_deflate = "off"

[client]
allow_anonymous = true
recovery_limit = 500
recovery_limit_bytes = 67108864

[namespaces.oldest]
slow_policy = "drop-oldest"
allow_subscribe_for_client = true
allow_subscribe_for_anonymous = true
allow_publish_for_client = true
allow_publish_for_anonymous = true

[namespaces.newest]
slow_policy = "conflate"
allow_subscribe_for_client = true
allow_subscribe_for_anonymous = true
allow_publish_for_client = true
allow_publish_for_anonymous = true

[namespaces.whole]
slow_policy = "drop-oldest"
history_size = 500
history_ttl_s = 300
force_recovery = true
allow_subscribe_for_client = true
allow_subscribe_for_anonymous = true
allow_publish_for_client = true
allow_publish_for_anonymous = true
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    path: Path = tmp_path_factory.mktemp("slow") / "wsloop.toml"
    path.write_text(CONFIG)
    with Daemon("-c", str(path)) as running:
        yield running


async def flood(ben: Person, cable: Cable) -> None:
    """Publish with the cable pinched, and to the end."""
    cable.pinch()
    for number in range(COUNT):
        await ben.publish(f"{number} {TEXT}")
    cable.release()
    await ben.publish(str(COUNT))


async def numbers_up_to_last(reader: Person) -> list[int]:
    found: list[int] = []
    while not found or found[-1] != COUNT:
        ((_, data),) = await reader.channel.take(1)
        found.append(int(data["text"].split()[0]))
    return found


@pytest.mark.parametrize("policy", ["oldest", "newest"])
def test_it_stays_connected_and_goes_on_behind_what_was_dropped(daemon: Daemon, policy: str) -> None:
    async def scenario() -> None:
        channel = f"{policy}:c"
        async with (
            Cable(daemon) as cable,
            person(daemon.url(MESSAGING), channel) as ben,
            person(cable.url(), channel) as ann,
        ):
            first_id = ann.id
            await flood(ben, cable)
            found = await numbers_up_to_last(ann)
            assert found == sorted(set(found))
            assert len(found) < COUNT
            assert ann.id == first_id
            assert ann.channel.subscribed.empty()
            assert await numbers_up_to_last(ben) == list(range(COUNT + 1))

    run(scenario())


def test_a_recovering_subscription_misses_nothing(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with (
            Cable(daemon) as cable,
            person(daemon.url(MESSAGING), "whole:c") as ben,
            person(cable.url(), "whole:c") as ann,
        ):
            first_id = ann.id
            await flood(ben, cable)
            back = await soon(ann.channel.subscribed.get())
            assert (back.was_recovering, back.recovered) == (True, True)
            assert await numbers_up_to_last(ann) == list(range(COUNT + 1))
            assert ann.id == first_id

    run(scenario())
