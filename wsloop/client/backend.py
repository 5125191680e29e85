"""The Backend port over HTTP: each question is a POST of JSON to a URL of its own.

Whatever the backend does, the question is completed, with what it said or with error 100: no answer
in time, a status other than 2xx, JSON that is not the answer's shape, a code out of range. What a
client may see of it is a code and a text; why it was is in the log.

Headers of the upgrade request go along if the operator has named them. Questions are asked a second
time only where that does no harm (a decision, not a publication or an rpc) and a kept connection
turned out to be dead. The shapes are in `proxy_shapes.py`.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec import Raw

from wsloop.client import proxy_shapes as shapes
from wsloop.client.tracing import headers_of, trace_of
from wsloop.errors import MAX_REASON_BYTES, HttpError
from wsloop.hub import codes, replies
from wsloop.hub.backend import Backend, Disconnected, PublishVerdict, Refused, Renewal
from wsloop.hub.codes import Code
from wsloop.hub.grants import Identity, Override, SubscriptionGrant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wsloop.client.endpoint import Endpoint, Posted
    from wsloop.hub.backend import (
        ConnectQuestion,
        Decided,
        Person,
        PublishQuestion,
        RpcQuestion,
        SubscribeQuestion,
    )

Result = TypeVar("Result")
Granted = TypeVar("Granted")

QUESTIONS = ("connect", "refresh", "subscribe", "publish", "sub_refresh", "rpc", "send")
"""What can be asked; each has an endpoint of its own, or none."""

MAX_MESSAGE_LENGTH = 255
"""Characters of an error's text that a client is told."""

NOT_AVAILABLE = Refused(codes.NOT_AVAILABLE)
FAILED = Refused(codes.INTERNAL_ERROR)

_ABOUT = {"transport": "websocket", "protocol": "json", "encoding": "json"}


class _Kind(Generic[Result, Granted]):
    """How the answers to one kind of question are read."""

    def __init__(self, name: str, result: Any, read: Callable[[Any], Granted], *, repeats: bool) -> None:  # noqa: ANN401 - a type
        self.name = name
        self.decoder = msgspec.json.Decoder(shapes.Reply[result])
        self.read = read
        self.repeats = repeats


class HttpBackend(Backend):
    """Asks `endpoints`, by the name of the question; one that has none is refused with 108.

    `headers` of a Person are forwarded as they are: who makes a Person keeps to the allow-list.
    `endpoints` are there to be looked at.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self.endpoints = endpoints

    def connect(self, question: ConnectQuestion, done: Decided[Identity]) -> None:
        """See `Backend.connect`."""
        body = shapes.ConnectBody(
            client=question.person.client,
            **_ABOUT,
            name=question.name,
            version=question.version,
            token=question.token,
            data=_raw(question.data),
            channels=question.channels,
        )
        self._ask(_CONNECT, question.person, body, done)

    def refresh(self, person: Person, done: Decided[Renewal]) -> None:
        """See `Backend.refresh`."""
        body = shapes.UserBody(**_person(person))
        self._ask(_REFRESH, person, body, done)

    def subscribe(self, question: SubscribeQuestion, done: Decided[SubscriptionGrant]) -> None:
        """See `Backend.subscribe`."""
        body = shapes.ChannelBody(
            **_person(question.person),
            channel=question.channel,
            token=question.token,
            data=_raw(question.data),
        )
        self._ask(_SUBSCRIBE, question.person, body, done)

    def publish(self, question: PublishQuestion, done: Decided[PublishVerdict]) -> None:
        """See `Backend.publish`."""
        body = shapes.ChannelBody(
            **_person(question.person), channel=question.channel, data=_raw(question.data)
        )
        self._ask(_PUBLISH, question.person, body, done)

    def sub_refresh(self, person: Person, channel: str, done: Decided[Renewal]) -> None:
        """See `Backend.sub_refresh`."""
        body = shapes.ChannelBody(**_person(person), channel=channel)
        self._ask(_SUB_REFRESH, person, body, done)

    def rpc(self, question: RpcQuestion, done: Decided[bytes]) -> None:
        """See `Backend.rpc`."""
        body = shapes.RpcBody(**_person(question.person), method=question.method, data=_raw(question.data))
        self._ask(_RPC, question.person, body, done)

    def send(self, question: RpcQuestion) -> None:
        """See `Backend.send`. What is answered is not read."""
        endpoint = self.endpoints.get("send")
        if endpoint is not None:
            body = shapes.RpcBody(**_person(question.person), data=_raw(question.data))
            _post(endpoint, question.person, body, _ignore, may_repeat=False)

    def _ask(
        self, kind: _Kind[Any, Granted], person: Person, body: msgspec.Struct, done: Decided[Granted]
    ) -> None:
        endpoint = self.endpoints.get(kind.name)
        if endpoint is None:
            done(NOT_AVAILABLE)
            return

        def posted(outcome: bytes | HttpError) -> None:
            if isinstance(outcome, HttpError):
                done(FAILED)
                return
            try:
                answer = _read(kind, outcome)
            except (ValueError, RecursionError, replies.PayloadError) as error:
                # msgspec's texts name fields and types, never values.
                endpoint.complain(f"the answer makes no sense: {error}")
                answer = FAILED
            done(answer)

        _post(endpoint, person, body, posted, may_repeat=kind.repeats)


def _post(
    endpoint: Endpoint, person: Person, body: msgspec.Struct, done: Posted, *, may_repeat: bool
) -> None:
    """Post a question about `person`, as part of the trace that its connection belongs to."""
    endpoint.post(
        msgspec.json.encode(body),
        done,
        headers=headers_of(person),
        trace=trace_of(person),
        may_repeat=may_repeat,
    )


def _read(kind: _Kind[Any, Granted], body: bytes) -> Granted | Refused | Disconnected:
    """Return what an answer says; raises ValueError, RecursionError or PayloadError for nonsense."""
    body.decode()  # payloads are passed on unparsed, so nobody else would see that it is no UTF-8
    reply = kind.decoder.decode(body)
    if reply.disconnect is not None:
        return Disconnected(reply.disconnect.code, _clipped(reply.disconnect.reason))
    if reply.error is not None:
        error = reply.error
        return Refused(Code(error.code, error.message[:MAX_MESSAGE_LENGTH], error.temporary))
    if reply.result is None:
        raise ValueError("neither result, error nor disconnect")
    return kind.read(reply.result)


def _person(person: Person) -> dict[str, Any]:
    return {"client": person.client, **_ABOUT, "user": person.user, "meta": _raw(person.meta)}


def _raw(data: bytes) -> Raw | msgspec.UnsetType:
    return Raw(data) if data else msgspec.UNSET


def _clipped(reason: str) -> str:
    """Return as much of `reason` as a close frame holds, cut between characters."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


def _json(raw: Raw, b64: str) -> bytes:
    """Return a payload, sent as JSON or as JSON in base64, on one line; b"" for none, or null."""
    try:
        data = base64.b64decode(b64, validate=True) if b64 else bytes(raw)
    except binascii.Error:
        raise ValueError("a payload is not base64") from None
    return b"" if data in (b"", b"null") else replies.one_line(data)


def _identity(answer: shapes.ConnectAnswer) -> Identity:
    subscriptions = dict.fromkeys(answer.channels, SubscriptionGrant(from_backend=True))
    subscriptions.update((name, _grant(sub)) for name, sub in answer.subs.items())
    return Identity(
        answer.user,
        info=_json(answer.info, answer.b64info),
        data=_json(answer.data, answer.b64data),
        meta=_json(answer.meta, ""),
        expire_at=answer.expire_at,
        subscriptions=subscriptions,
        from_backend=True,
    )


def _grant(answer: shapes.SubscribeAnswer) -> SubscriptionGrant:
    return SubscriptionGrant(
        info=_json(answer.info, answer.b64info),
        data=_json(answer.data, answer.b64data),
        expire_at=answer.expire_at,
        override=None if answer.override is None else _override(answer.override),
        from_backend=True,
    )


def _override(answer: shapes.OverrideAnswer) -> Override:
    switches = {name: getattr(answer, name) for name in answer.__struct_fields__}
    return Override(**{name: switch.value for name, switch in switches.items() if switch is not None})


def _renewal(answer: shapes.RefreshAnswer) -> Renewal:
    return Renewal(answer.expired, answer.expire_at, _json(answer.info, answer.b64info) or None)


def _verdict(answer: shapes.PublishAnswer) -> PublishVerdict:
    return PublishVerdict(_json(answer.data, answer.b64data), answer.skip_history)


def _returned(answer: shapes.RpcAnswer) -> bytes:
    return _json(answer.data, answer.b64data)


def _ignore(outcome: bytes | HttpError) -> None:
    """Take the end of a message that wants no answer; the endpoint has logged a failure."""


_CONNECT = _Kind[shapes.ConnectAnswer, Identity]("connect", shapes.ConnectAnswer, _identity, repeats=True)
_REFRESH = _Kind[shapes.RefreshAnswer, Renewal]("refresh", shapes.RefreshAnswer, _renewal, repeats=True)
_SUBSCRIBE = _Kind[shapes.SubscribeAnswer, SubscriptionGrant](
    "subscribe", shapes.SubscribeAnswer, _grant, repeats=True
)
_PUBLISH = _Kind[shapes.PublishAnswer, PublishVerdict](
    "publish", shapes.PublishAnswer, _verdict, repeats=False
)
_SUB_REFRESH = _Kind[shapes.RefreshAnswer, Renewal](
    "sub_refresh", shapes.RefreshAnswer, _renewal, repeats=True
)
_RPC = _Kind[shapes.RpcAnswer, bytes]("rpc", shapes.RpcAnswer, _returned, repeats=False)
