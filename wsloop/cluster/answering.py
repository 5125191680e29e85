"""A worker's questions to broker and presence, asked on its behalf: from message to port and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wsloop.cluster import messages
from wsloop.hub.broker import Draft, Retention, Unavailable
from wsloop.hub.history import HistoryQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wsloop.hub.broker import Appended, Broker, Done
    from wsloop.hub.history import StreamPosition, StreamView
    from wsloop.hub.presence import Presence, PresenceStats

Reply = Callable[[messages.Numbered], object]
"""Says the answer on the link that the question came from."""


def answer(question: messages.Message, broker: Broker, presence: Presence, reply: Reply) -> None:
    """Ask what a message of `QUESTIONS` asks; `reply` is called once, in the broker's order."""
    QUESTIONS[type(question)](question, broker, presence, reply)


def _done(number: int, reply: Reply, told: Callable[[Any], messages.Numbered]) -> Done[Any]:
    """Return a completion that replies what `told` makes of a result."""

    def done(result: object) -> None:
        if isinstance(result, Unavailable):
            reply(messages.Failed(number, result.reason))
        else:
            reply(told(result))

    return done


def _publish(question: messages.Publish, broker: Broker, _presence: Presence, reply: Reply) -> None:
    number = question.number

    def told(appended: Appended) -> messages.Numbered:
        return messages.Placed(number, appended.offset, appended.epoch, appended.duplicate)

    draft = Draft(
        question.data,
        question.info,
        question.tags,
        question.key,
        question.version,
        question.version_epoch,
        question.delta,
    )
    broker.publish(question.channel, draft, _retention(question), _done(number, reply, told))


def _read(question: messages.ReadHistory, broker: Broker, _presence: Presence, reply: Reply) -> None:
    number = question.number

    def told(view: StreamView) -> messages.Numbered:
        lines = tuple(
            messages.Line(each.offset, each.data, each.info, each.tags, each.delta)
            for each in view.publications
        )
        return messages.View(number, view.top.offset, view.top.epoch, lines)

    query = HistoryQuery(question.limit, question.since, question.reverse, question.max_bytes)
    broker.history(question.channel, query, _retention(question), _done(number, reply, told))


def _remove(question: messages.RemoveHistory, broker: Broker, _presence: Presence, reply: Reply) -> None:
    def told(top: StreamPosition) -> messages.Numbered:
        return messages.View(question.number, top.offset, top.epoch)

    broker.remove_history(question.channel, _done(question.number, reply, told))


def _list(question: messages.ListMembers, _broker: Broker, presence: Presence, reply: Reply) -> None:
    def told(members: Mapping[str, bytes]) -> messages.Numbered:
        return messages.MemberList(question.number, dict(members))

    presence.members(question.channel, _done(question.number, reply, told))


def _count(question: messages.CountMembers, _broker: Broker, presence: Presence, reply: Reply) -> None:
    def told(stats: PresenceStats) -> messages.Numbered:
        return messages.MemberCount(question.number, stats.num_clients, stats.num_users)

    presence.stats(question.channel, _done(question.number, reply, told))


def _confirm(question: messages.Confirm, broker: Broker, _presence: Presence, reply: Reply) -> None:
    def told(_: None) -> messages.Numbered:
        return messages.Confirmed(question.number)

    broker.confirm(question.name, _done(question.number, reply, told))


def _retention(question: messages.Publish | messages.ReadHistory) -> Retention:
    return Retention(question.size, question.ttl_s, question.meta_ttl_s)


QUESTIONS: dict[type, Callable[[Any, Broker, Presence, Reply], None]] = {
    messages.Publish: _publish,
    messages.ReadHistory: _read,
    messages.RemoveHistory: _remove,
    messages.ListMembers: _list,
    messages.CountMembers: _count,
    messages.Confirm: _confirm,
}
"""What a worker asks of the ports, and how it is asked."""
