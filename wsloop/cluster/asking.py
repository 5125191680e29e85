"""Questions of the operations, in both directions: what the link carries and does not look into."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from wsloop.cluster.codec import LinkError
from wsloop.cluster.messages import Answer, Ask, Cast

if TYPE_CHECKING:
    from wsloop.cluster.link import Link

log = logging.getLogger("wsloop.cluster")

Handler = Callable[[str, bytes, Callable[[bytes], object]], None]
"""Answers a question: its name, its body, and a completion for the answer, called once, now or later."""

Asked = Callable[[bytes | None], object]
"""A completion: the answer, or None if there is none, in time or at all."""


def answer(link: Link, question: Ask, handler: Handler | None) -> None:
    """Have a question answered on the link it came from; who raises has no answer."""

    def done(body: bytes | None) -> None:
        try:
            link.send(Answer(question.number, body))
        except LinkError as error:
            log.error("the answer to %s is lost: %s", question.name, error.reason)
            link.send(Answer(question.number, None))

    if handler is None:
        done(None)
        return
    try:
        handler(question.name, question.body, done)
    except Exception:
        log.exception("the answer to %s raised", question.name)
        done(None)


def hear(cast: Cast, handler: Handler | None) -> None:
    """Have something carried out that nobody waits for."""
    if handler is not None:
        handler(cast.name, cast.body, lambda _: None)
