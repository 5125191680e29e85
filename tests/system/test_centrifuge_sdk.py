"""The official `centrifuge-python` SDK, unchanged, against a daemon of its own process."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import pytest
from centrifuge import ClientState, ReplyError, StreamPosition

from tests.system.cable import Cable
from tests.system.daemon import Daemon
from tests.system.sdk import Person, person, run, soon

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.system

MESSAGING = "/connection/websocket"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One daemon for all tests that leave it alive; each test has a channel of its own."""
    with Daemon() as started:
        yield started
        assert "Traceback" not in started.stderr()


def texts(publications: list[tuple[int, Any]]) -> list[str]:
    return [data["text"] for _offset, data in publications]


def offsets(publications: list[tuple[int, Any]]) -> list[int]:
    return [offset for offset, _data in publications]


def test_it_publishes_and_both_receive_the_same_in_the_same_order(daemon: Daemon) -> None:
    async def scenario() -> None:
        url = daemon.url(MESSAGING)
        async with person(url, "chat:order") as ann, person(url, "chat:order") as ben:
            await asyncio.gather(ann.publish("a1", "a2", "a3"), ben.publish("b1", "b2", "b3"))
            seen = await ann.channel.take(6)
            assert seen == await ben.channel.take(6)
            assert offsets(seen) == [1, 2, 3, 4, 5, 6]
            assert [text for text in texts(seen) if text[0] == "a"] == ["a1", "a2", "a3"]
            assert [text for text in texts(seen) if text[0] == "b"] == ["b1", "b2", "b3"]

    run(scenario())


def test_any_json_arrives_as_it_was_sent(daemon: Daemon) -> None:
    values: list[Any] = [
        {"text": 'two\nlines, "quotes" \\ and \u2028 \U0001f600'},
        [1, -2.5, 1e300, True, None, ""],
        "a bare string",
        {"nested": {"deep": [[[]]]}},
        "x" * 60_000,
    ]

    async def scenario() -> None:
        async with person(daemon.url(MESSAGING), "chat:json") as ann:
            for value in values:
                await soon(ann.subscription.publish(value))
            assert [data for _offset, data in await ann.channel.take(len(values))] == values

    run(scenario())


def test_it_reads_who_is_present_and_sees_them_come_and_go(daemon: Daemon) -> None:
    async def scenario() -> None:
        url = daemon.url(MESSAGING)
        async with person(url, "chat:presence", "Ann") as ann:
            assert await soon(ann.channel.joins.get()) == ann.id
            async with person(url, "chat:presence", "Ben") as ben:
                assert await soon(ann.channel.joins.get()) == ben.id
                present = (await soon(ann.subscription.presence())).clients
                names = {client: info.conn_info["name"] for client, info in present.items()}
                assert names == {ann.id: "Ann", ben.id: "Ben"}
                stats = await soon(ann.subscription.presence_stats())
                assert (stats.num_clients, stats.num_users) == (2, 1)  # two anonymous ones are one user
                gone = ben.id
            assert await soon(ann.channel.leaves.get()) == gone
            assert list((await soon(ann.subscription.presence())).clients) == [ann.id]

    run(scenario())


def test_unsubscribing_ends_the_publications_and_nothing_else(daemon: Daemon) -> None:
    async def scenario() -> None:
        url = daemon.url(MESSAGING)
        async with person(url, "chat:leaving") as ann, person(url, "chat:leaving") as ben:
            await soon(ben.subscription.unsubscribe())
            await soon(ben.channel.unsubscribed.get())
            assert await soon(ann.channel.leaves.get()) == ben.id
            await ann.publish("unheard")
            await soon(ben.client.publish("chat:leaving", {"text": "from outside"}))
            assert texts(await ann.channel.take(2)) == ["unheard", "from outside"]
            assert ben.channel.publications.empty()
            assert ben.client.state is ClientState.CONNECTED

    run(scenario())


def test_it_reads_the_history_from_either_end(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with person(daemon.url(MESSAGING), "chat:history") as ann:
            await ann.publish("one", "two", "three", "four")
            top = await soon(ann.subscription.history())
            assert (top.offset, top.publications) == (4, [])
            assert top.epoch
            everything = await soon(ann.subscription.history(limit=-1))
            assert [(pub.offset, pub.data["text"]) for pub in everything.publications] == [
                (1, "one"),
                (2, "two"),
                (3, "three"),
                (4, "four"),
            ]
            newest = await soon(ann.subscription.history(limit=2, reverse=True))
            assert [pub.offset for pub in newest.publications] == [4, 3]
            behind = await soon(ann.subscription.history(limit=-1, since=StreamPosition(2, top.epoch)))
            assert [pub.offset for pub in behind.publications] == [3, 4]
            with pytest.raises(ReplyError) as refusal:
                await soon(ann.subscription.history(limit=-1, since=StreamPosition(2, "elsewhere")))
            assert refusal.value.code == 112

    run(scenario())


def test_an_unknown_namespace_and_an_rpc_that_nobody_serves_are_errors_not_ends(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with person(daemon.url(MESSAGING), "chat:errors") as ann:
            for awaitable, code in (
                (ann.client.publish("nowhere:room", {}), 102),
                (ann.client.presence("nowhere:room"), 102),
                (ann.client.rpc("anything", {}), 108),
            ):
                with pytest.raises(ReplyError) as refusal:
                    await soon(awaitable)
                assert refusal.value.code == code
            stranger = ann.client.new_subscription("nowhere:room", ann.channel)
            await soon(stranger.subscribe())
            assert (await soon(ann.channel.unsubscribed.get())).code == 102
            await ann.publish("still here")
            assert texts(await ann.channel.take(1)) == ["still here"]

    run(scenario())


def test_after_a_cut_it_gets_exactly_what_it_missed_in_order_and_once(daemon: Daemon) -> None:
    async def scenario() -> None:
        channel = "chat:cut"
        async with Cable(daemon) as cable, person(daemon.url(MESSAGING), channel) as ben:
            async with person(cable.url(), channel) as ann:
                await ben.publish("before 1", "before 2")
                assert texts(await ann.channel.take(2)) == ["before 1", "before 2"]
                first_id = ann.id
                await cable.cut()
                await soon(ann.events.connecting.get())
                while await soon(ben.channel.leaves.get()) != first_id:
                    pass
                await ben.publish(*(f"missed {number}" for number in range(20)))
                await cable.mend()
                back = await soon(ann.channel.subscribed.get())
                assert (back.was_recovering, back.recovered) == (True, True)
                assert ann.id != first_id
                await ben.publish("after")
                seen = await ann.channel.take(21)
                assert texts(seen) == [*(f"missed {number}" for number in range(20)), "after"]
                assert offsets(seen) == list(range(3, 24))
            assert ann.channel.publications.empty()

    run(scenario())


def test_what_the_server_sent_into_a_dead_cable_is_recovered_too(daemon: Daemon) -> None:
    async def scenario() -> None:
        channel = "chat:frayed"
        async with Cable(daemon) as cable, person(daemon.url(MESSAGING), channel) as ben:
            async with person(cable.url(), channel) as ann:
                await ben.publish("heard")
                await ann.channel.take(1)
                cable.fray()
                await ben.publish("lost 1", "lost 2", "lost 3")
                await cable.wait_until("lost_bytes", 1)
                await cable.cut()
                await cable.mend()
                back = await soon(ann.channel.subscribed.get())
                assert (back.was_recovering, back.recovered) == (True, True)
                await ben.publish("after")
                assert await ann.channel.take(4) == [
                    (2, {"text": "lost 1"}),
                    (3, {"text": "lost 2"}),
                    (4, {"text": "lost 3"}),
                    (5, {"text": "after"}),
                ]
            assert ann.channel.publications.empty()

    run(scenario())


def test_cut_while_messages_pour_it_misses_none_and_sees_none_twice(daemon: Daemon) -> None:
    async def scenario() -> None:
        channel = "chat:storm"
        async with Cable(daemon) as cable, person(daemon.url(MESSAGING), channel) as ben:
            async with person(cable.url(), channel) as ann:
                pouring = asyncio.ensure_future(ben.publish(*(str(number) for number in range(90))))
                for _ in range(3):
                    await ben.channel.take(5)
                    await cable.cut()
                    await ben.channel.take(5)
                    await cable.mend()
                    back = await soon(ann.channel.subscribed.get())
                    assert (back.was_recovering, back.recovered) == (True, True)
                await soon(pouring)
                seen = await ann.channel.take(90)
                assert offsets(seen) == list(range(1, 91))
                assert texts(seen) == [str(number) for number in range(90)]
            assert ann.channel.publications.empty()

    run(scenario())


def test_more_missed_than_the_history_holds_is_told_and_not_glossed_over(daemon: Daemon) -> None:
    async def scenario() -> None:
        channel = "chat:overrun"
        async with (
            Cable(daemon) as cable,
            person(daemon.url(MESSAGING), channel) as ben,
            person(cable.url(), channel) as ann,
        ):
            await cable.cut()
            await ben.publish(*(str(number) for number in range(101)))
            await cable.mend()
            back = await soon(ann.channel.subscribed.get())
            assert (back.was_recovering, back.recovered) == (True, False)
            assert back.stream_position.offset == 101
            await ben.publish("after")
            assert await ann.channel.take(1) == [(102, {"text": "after"})]

    run(scenario())


def test_killed_and_restarted_it_reconnects_and_is_told_that_nothing_was_recovered() -> None:
    async def scenario(daemon: Daemon) -> None:
        async with person(daemon.url(MESSAGING), "chat:kill") as ann:
            await ann.publish("before")
            await ann.channel.take(1)
            first_id = ann.id
            daemon.kill()
            await soon(ann.events.connecting.get())
            await asyncio.to_thread(daemon.start)
            await soon(ann.events.connected.get())
            back = await soon(ann.channel.subscribed.get())
            assert (back.was_recovering, back.recovered) == (True, False)
            assert ann.id != first_id
            assert list((await soon(ann.subscription.presence())).clients) == [ann.id]
            await ann.publish("after")
            assert await ann.channel.take(1) == [(1, {"text": "after"})]

    with Daemon() as daemon:
        run(scenario(daemon))
        assert "Traceback" not in daemon.stderr()


def test_a_drained_daemon_says_3001_and_the_sdk_waits_for_the_next_one() -> None:
    async def scenario(daemon: Daemon) -> None:
        async with person(daemon.url(MESSAGING), "chat:drain") as ann:
            daemon.send_signal(signal.SIGTERM)
            assert (await soon(ann.events.connecting.get())).code == 3001
            assert await asyncio.to_thread(daemon.wait) == 0
            await asyncio.to_thread(daemon.start)
            await soon(ann.channel.subscribed.get())

    with Daemon() as daemon:
        run(scenario(daemon))


def test_it_answers_the_pings_and_stays() -> None:
    async def scenario(daemon: Daemon) -> None:
        async with Cable(daemon) as cable, person(cable.url(), "chat:pings") as ann:
            # An unanswered ping closes the connection before the next one: two pings prove an answer.
            await cable.wait_until("pings_seen", 2)
            await ann.publish("still here")
            assert texts(await ann.channel.take(1)) == ["still here"]
            assert ann.events.connecting.empty()

    with Daemon("--ws-ping-interval", "1.0", "--ws-ping-timeout", "0.9") as daemon:
        run(scenario(daemon))


def test_fifty_clients_in_one_room_agree(daemon: Daemon) -> None:
    async def scenario() -> None:
        people = [Person(daemon.url(MESSAGING), "chat:crowd") for _ in range(50)]
        try:
            await asyncio.gather(*(one.enter() for one in people))
            await asyncio.gather(*(one.publish(one.id) for one in people))
            logs = await asyncio.gather(*(one.channel.take(50) for one in people))
            assert offsets(logs[0]) == list(range(1, 51))
            assert set(texts(logs[0])) == {one.id for one in people}
            assert all(log == logs[0] for log in logs)
        finally:
            await asyncio.gather(*(soon(one.client.disconnect()) for one in people))

    run(scenario())
