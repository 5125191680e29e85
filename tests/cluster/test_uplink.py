"""A worker's end: what is answered while there is no link, what comes back, and what is said again."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.kit import LINK, VirtualRig
from wsloop.cluster import messages
from wsloop.cluster.codec import MAX_MESSAGE_BYTES, encode
from wsloop.cluster.link_states import LinkLimits
from wsloop.cluster.uplink import LOST, NO_LINK, Uplink
from wsloop.cluster.uplink_states import UPLINK_TRANSITIONS, UplinkRules, UplinkState, UplinkStep
from wsloop.errors import StateError
from wsloop.hub.broker import Appended, Draft, Retention, Unavailable
from wsloop.hub.history import HistoryQuery, StreamPosition, StreamView
from wsloop.hub.presence import PresenceStats
from wsloop.testing.contracts.broker_harness import KEEP_3

if TYPE_CHECKING:
    from wsloop.testing.memory_socket import MemorySocket


class Hub:
    """Keeps what a broker tells."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def on_publication(self, channel: str, publication: Any, epoch: str) -> None:
        self.told.append(("pub", channel, publication.offset, publication.data))

    def on_join(self, channel: str, info: bytes) -> None:
        self.told.append(("join", channel, info))

    def on_leave(self, channel: str, info: bytes) -> None:
        self.told.append(("leave", channel, info))

    def on_interrupted(self) -> None:
        self.told.append(("interrupted",))


class Workers(VirtualRig):
    """A rig whose workers have hubs."""

    hubs: dict[int, Hub]

    def link(self, slot: int = 0, *, waits: bool = True) -> Any:
        end = super().link(slot, waits=waits)
        self.hubs = {**getattr(self, "hubs", {}), slot: Hub()}
        end.broker.attach(self.hubs[slot])
        return end

    def published(self, slot: int) -> list[bytes]:
        return [told[3] for told in self.hubs[slot].told if told[0] == "pub"]


def ask_everything(end: Any) -> list[object]:
    answers: list[object] = []
    end.broker.publish("c", Draft(b"1"), KEEP_3, answers.append)
    end.broker.history("c", HistoryQuery(10), KEEP_3, answers.append)
    end.broker.remove_history("c", answers.append)
    end.presence.members("c", answers.append)
    end.presence.stats("c", answers.append)
    end.uplink.ask("name", b"body", answers.append)
    return answers


def test_the_table_says_what_is_possible() -> None:
    assert UPLINK_TRANSITIONS[UplinkState.CLOSED] == {}
    assert {step for steps in UPLINK_TRANSITIONS.values() for step in steps} == set(UplinkStep)
    rig = Workers()
    end = rig.link()
    end.uplink.close()
    end.uplink.close()
    with pytest.raises(StateError, match="try is illegal while closed"):
        end.uplink._connect()


def test_without_a_link_every_question_is_answered_at_once() -> None:
    rig = Workers()
    rig.kill_service()
    end = rig.link(waits=False)
    assert ask_everything(end) == [NO_LINK] * 5 + [None]
    rig.run_for(10)
    assert ask_everything(end) == [NO_LINK] * 5 + [None]
    assert end.uplink.reason() == "no link to the broker"
    assert not end.broker.may_lose_events  # without saying so


def test_questions_under_way_are_given_up_when_the_link_breaks() -> None:
    rig = Workers()
    end = rig.link()
    rig.machine.stop(rig.service_reactor)
    answers = ask_everything(end)
    rig.run_for(0.05)
    assert answers == []
    rig.cut(0)
    rig.run_for(0.05)
    assert answers == [LOST] * 5 + [None]
    rig.machine.go_on(rig.service_reactor)
    rig.run_for(1)
    assert len(answers) == 6


def test_a_question_that_is_not_answered_in_time_is_given_up_and_its_answer_ignored() -> None:
    """The hub process is stopped (SIGSTOP) and goes on: each completion is called once."""
    rig = Workers()
    end = rig.link()
    rig.machine.stop(rig.service_reactor)
    answers = ask_everything(end)
    rig.run_for(6.1)
    assert [type(answer) for answer in answers] == [Unavailable] * 5 + [type(None)]
    assert "in time" in str(answers[0])
    assert end.uplink.reason() == "the broker has not answered for 6 s"
    assert ask_everything(end) == [Unavailable("the broker has not answered for 6 s")] * 5 + [None]
    assert end.uplink.statistics().unanswered == 6
    rig.machine.go_on(rig.service_reactor)
    rig.run_for(0.1)
    assert len(answers) == 6
    assert end.uplink.is_up
    later = ask_everything(end)
    rig.run_for(0.1)
    assert [type(answer) for answer in later] == [
        Appended, StreamView, StreamPosition, dict, PresenceStats, type(None),
    ]  # fmt: skip
    assert end.uplink.statistics().lost == 0
    assert rig.hubs[0].told == []


def test_what_was_confirmed_is_not_asked_for_again() -> None:
    rig = Workers()
    end = rig.link()
    answers: list[object] = []
    for name in ("c", "d"):
        end.broker.subscribe(name)
        end.broker.confirm(name, answers.append)
    end.broker.subscribe_pattern("a.*")
    assert (answers, end.uplink.statistics().questions) == ([], 2)
    rig.run_for(0.1)
    assert answers == [None, None]
    for name in ("c", "d", "c"):
        end.broker.confirm(name, answers.append)
    assert answers == [None] * 5
    end.broker.confirm("a.*", answers.append)
    end.broker.unsubscribe("c")
    end.broker.subscribe("c")
    end.broker.confirm("c", answers.append)
    assert end.uplink.statistics().questions == 2, "it has another interest now"
    rig.run_for(0.1)
    assert answers == [None] * 7


def test_an_interest_that_is_not_confirmed_is_asked_for_by_the_next() -> None:
    rig = Workers()
    end = rig.link()
    answers: list[object] = []
    end.broker.subscribe("c")
    end.broker.confirm("c", answers.append)
    rig.cut(0)
    rig.run_for(1)
    assert answers == [LOST]
    end.broker.confirm("c", answers.append)
    rig.run_for(0.1)
    assert answers == [LOST, None]


def test_what_was_confirmed_on_a_link_that_has_ended_is_asked_for_on_the_next() -> None:
    """The hub process does not know of it before it has read what is said again."""
    rig = Workers()
    end = rig.link()
    answers: list[object] = []
    end.broker.subscribe("c")
    end.broker.confirm("c", answers.append)
    rig.run_for(0.1)
    rig.cut(0)
    rig.machine.run_until(lambda: end.uplink.links == 2)
    end.broker.confirm("c", answers.append)
    assert (answers, end.uplink.statistics().questions) == ([None], 1)
    rig.run_for(0.1)
    assert answers == [None, None]


def test_attempts_become_rarer_and_not_all_workers_come_at_once() -> None:
    rig = Workers()
    rig.kill_service()
    times: dict[int, list[float]] = {0: [], 1: []}
    connect = rig.machine.network.connect
    current = 0

    def counted(bind: Any) -> MemorySocket:
        times[current].append(rig.clock.now())
        return connect(bind)

    rig.machine.network.connect = counted  # type: ignore[method-assign, assignment]
    rig.link(0, waits=False)
    rig.run_for(60)
    current = 1
    rig.kill(0)
    rig.link(1, waits=False)
    rig.run_for(60)
    for attempts in times.values():
        delays = [after - before for before, after in itertools.pairwise(attempts)]
        for number, delay in enumerate(delays):
            least = min(0.1 * 2**number, 5.0)
            assert least <= delay <= 1.5 * least + 0.02
        assert len(delays) >= 10
    assert [t - times[0][0] for t in times[0]] != [t - times[1][0] for t in times[1]]


def test_a_new_link_is_told_what_holds_and_then_the_hub_that_events_may_be_lost() -> None:
    rig = Workers()
    ends = [rig.link(0), rig.link(1)]
    ends[0].broker.subscribe("a")
    ends[0].broker.subscribe("b")
    ends[0].broker.unsubscribe("b")
    ends[0].broker.subscribe_pattern("x.*")
    ends[0].broker.subscribe_pattern("y.*")
    ends[0].broker.unsubscribe_pattern("y.*")
    ends[0].presence.add("a", "client", "user", b"{}")
    ends[0].presence.add("b", "client", "user", b"{}")
    ends[0].presence.remove("b", "client")
    rig.settle()
    rig.cut(0)
    rig.run_until(lambda: not ends[0].uplink.is_up)
    ends[0].broker.subscribe("later")
    ends[0].broker.subscribe("never")
    ends[0].broker.unsubscribe("never")
    assert members(rig, ends[1], "a") == {}
    rig.run_until(lambda: ends[0].uplink.is_up)
    assert rig.hubs[0].told == [("interrupted",)]
    assert rig.hubs[1].told == []
    for channel in ("a", "b", "x.1", "y.1", "later", "never"):
        ends[1].broker.publish(channel, Draft(channel.encode()), KEEP_3, lambda _: None)
    rig.settle()
    rig.run_for(0.1)
    assert set(rig.published(0)) >= {b"a", b"x.1", b"later"}
    assert rig.published(0).count(b"a") == 1
    assert members(rig, ends[1], "a") == {"client": b"{}"}
    assert members(rig, ends[1], "b") == {}
    assert ends[0].uplink.statistics().links == 2
    assert ends[0].uplink.statistics().lost == 1


def members(rig: Workers, end: Any, channel: str) -> Any:
    answers: list[Any] = []
    end.presence.members(channel, answers.append)
    rig.run_until(lambda: answers)
    return answers[0]


def test_much_is_said_again_in_batches_each_when_the_one_before_is_taken() -> None:
    """And what changes meanwhile is not undone by what is said again."""
    rig = Workers()
    end, other = rig.link(0), rig.link(1)
    for number in range(5000):
        end.broker.subscribe(f"c{number}")
        end.presence.add(f"c{number}", "client", "user", b"{}")
    rig.settle()
    rig.cut(0)
    rig.run_until(lambda: end.uplink.state is UplinkState.RESTORING)
    queued = []
    changed = False
    while end.uplink.state is UplinkState.RESTORING:
        link = end.uplink.statistics().link
        queued.append(link.queue_bytes)
        if len(queued) == 2 and not changed:
            changed = True
            end.broker.unsubscribe("c4999")
            end.presence.remove("c4999", "client")
            end.presence.add("c4998", "client", "user", b"new")
            end.broker.subscribe("new")
        rig.machine.turn()
    assert len(queued) > 10
    assert max(queued) < 100_000
    rig.settle()
    assert len(members(rig, other, "c4997")) == 1
    assert members(rig, other, "c4998") == {"client": b"new"}
    assert members(rig, other, "c4999") == {}
    for channel in ("c1", "c4999", "new"):
        other.broker.publish(channel, Draft(channel.encode()), KEEP_3, lambda _: None)
    rig.settle()
    rig.run_for(0.1)
    assert rig.published(0) == [b"c1", b"new"]


def test_a_service_of_another_version_is_not_understood(caplog: pytest.LogCaptureFixture) -> None:
    rig = Workers()
    rig.kill_service()
    FakeService(rig, [encode(messages.Refused("this is version 2 of the link, not 1"))])
    end = rig.link(waits=False)
    rig.run_for(1)
    assert not end.uplink.is_up
    assert "refused: this is version 2" in caplog.text


class FakeService:
    """Answers each new link with the same messages, whatever it is asked."""

    def __init__(self, rig: VirtualRig, said: list[bytes]) -> None:
        self.reactor = rig.loop()
        self.listening = rig.machine.network.listen(LINK)
        self.links: list[MemorySocket] = []
        self._said = said
        self.reactor.register(self.listening.fileno(), 1, self._accept)

    def _accept(self, _events: int) -> None:
        sock, _ = self.listening.accept()
        self.links.append(sock)
        sock.send(b"".join(self._said))


@pytest.mark.parametrize(
    "said",
    [
        [messages.Pong(1, 0, 0, 0, 0, 0)],
        [messages.Welcome("s"), messages.Welcome("s")],
        [messages.Welcome("s"), messages.Ping(1)],
        [messages.Hello(1, 0, "u", "")],
    ],
)
def test_a_service_that_breaks_the_protocol_is_left(
    said: list[messages.Message], caplog: pytest.LogCaptureFixture
) -> None:
    rig = Workers()
    rig.kill_service()
    fake = FakeService(rig, [encode(message) for message in said])
    end = rig.link(waits=False)
    rig.run_for(0.05)
    assert not end.uplink.is_up
    assert "no link to the broker: " in caplog.text
    rig.run_for(3)
    assert len(fake.links) > 1


def test_an_answer_of_another_kind_ends_the_link() -> None:
    rig = Workers()
    rig.kill_service()
    fake = FakeService(rig, [encode(messages.Welcome("s"))])
    end = rig.link()
    answers: list[object] = []
    end.broker.publish("c", Draft(b"1"), Retention(), answers.append)
    fake.links[0].send(encode(messages.MemberCount(1, 0, 0)))
    rig.run_for(0.05)
    assert answers == [Unavailable("the broker gave another kind of answer")]
    assert end.uplink.statistics().lost == 1


def test_a_failure_at_the_service_is_a_failure_here_and_late_answers_are_ignored() -> None:
    rig = Workers()
    rig.kill_service()
    fake = FakeService(rig, [encode(messages.Welcome("s"))])
    end = rig.link()
    answers: list[object] = []
    end.broker.publish("c", Draft(b"1"), Retention(), answers.append)
    fake.links[0].send(encode(messages.Failed(1, "no room")) * 2 + encode(messages.Placed(77, 1, "e", False)))
    rig.run_for(0.05)
    assert answers == [Unavailable("no room")]
    assert end.uplink.is_up


def test_what_cannot_be_written_is_unavailable_and_nothing_else_happens(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Workers()
    end = rig.link()
    answers: list[object] = []
    end.broker.publish("c", Draft(b"x" * MAX_MESSAGE_BYTES), KEEP_3, answers.append)
    assert isinstance(answers[0], Unavailable)
    end.presence.add("c", "client", "\ud800", b"")
    end.broker.publish_join("c\ud800", b"")
    end.broker.subscribe("c\ud800")
    end.broker.subscribe_pattern("c\ud800.*")
    assert "Members is not said" in caplog.text
    rig.settle()
    rig.cut(0)
    rig.run_for(0.3)
    assert end.uplink.is_up


def test_long_infos_are_said_again_in_shorter_batches() -> None:
    rig = Workers()
    end = rig.link()
    for number in range(20):
        end.presence.add("c", f"client{number}", "user", b"x" * 1_000_000)
        end.broker.publish_join("c", b"%d" % number * 1_000_000)
        rig.settle()
    rig.cut(0)
    rig.run_for(0.3)
    rig.settle()
    assert end.uplink.is_up
    assert end.uplink.statistics().lost == 1


def test_a_hub_process_that_does_not_read_ends_the_link_at_the_limit() -> None:
    rig = Workers(limits=LinkLimits(queue_bytes=500_000))
    end = rig.link()
    rig.machine.stop(rig.service_reactor)
    answers: list[object] = []
    for _ in range(100):
        end.broker.publish("c", Draft(b"x" * 10_000), KEEP_3, answers.append)
        rig.run_for(0.01)
    statistics = end.uplink.statistics()
    assert (statistics.overflows, statistics.lost) == (1, 1)
    assert len(answers) == 100
    rig.machine.go_on(rig.service_reactor)
    rig.run_until(lambda: end.uplink.is_up)


def test_closing_completes_everything_and_leaves_nothing() -> None:
    rig = Workers()
    end = rig.link()
    answers = ask_everything(end)
    end.uplink.close()
    assert answers == [LOST] * 5 + [None]
    assert ask_everything(end) == [NO_LINK] * 5 + [None]
    rig.run_for(3)
    rig.service.close()
    for reactor in (rig.reactors[0], rig.service_reactor):
        reactor.run_once()
        statistics = reactor.statistics()
        assert (statistics.descriptors, statistics.timers, statistics.errors) == (0, 0, 0)
    assert rig.machine.network.open_descriptors() == {}


def test_closing_while_it_waits_leaves_nothing() -> None:
    rig = Workers()
    rig.kill_service()
    end = rig.link(waits=False)
    rig.run_for(1)
    end.uplink.close()
    assert rig.reactors[0].statistics().timers == 0


def test_rules_are_the_operators() -> None:
    rig = Workers(rules=UplinkRules(answer_s=1.0))
    end = rig.link()
    rig.machine.stop(rig.service_reactor)
    answers = ask_everything(end)
    rig.run_for(2.1)
    assert len(answers) == 6


def test_two_lives_of_a_worker_have_two_names() -> None:
    rig = Workers()
    entropy = random.Random(1).randbytes
    uids = {Uplink(rig.loop(), rig.machine.network, LINK, slot=0, entropy=entropy)._uid for _ in range(3)}
    assert len(uids) == 3


def test_a_broker_that_is_silent_and_speaks_again_is_told_once_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "wsloop.cluster")
    rig = Workers()
    rig.link(0)
    rig.run_for(10)
    caplog.clear()
    for _ in range(2):
        rig.machine.stop(rig.service_reactor)
        rig.run_for(12)
        rig.machine.go_on(rig.service_reactor)
        rig.run_for(12)
    told = [record.message for record in caplog.records]
    assert told == ["the broker has not answered for 6 s", "the broker answers again"] * 2
