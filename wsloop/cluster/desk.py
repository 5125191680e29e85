"""What a process answers when another asks over a link, and how the hub process asks all workers.

A question's name is a kind, and for some kinds what is meant behind a slash: "api/info", "metrics".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wsloop.cluster.codec import LinkError
from wsloop.hub.operations.core import Everywhere

if TYPE_CHECKING:
    from wsloop.cluster.service import Service

Done = Callable[[bytes], object]

Clerk = Callable[[str, bytes, Done], object]
"""Answers the questions of one kind: what is behind the slash, the body, a completion called once."""

API = "api"
"""The kind of questions that are methods of the server API."""

API_TIMEOUT_S = 5.0
"""For all workers to answer a method. A worker that takes longer is stalled, or has 100,000 connections to
look through."""


class Desk:
    """Who answers which kind of question; what `Uplink.handler` and `Service.handler` are."""

    def __init__(self) -> None:
        self._clerks: dict[str, Clerk] = {}

    def add(self, kind: str, clerk: Clerk) -> None:
        """Have `clerk` answer the questions of a kind."""
        self._clerks[kind] = clerk

    def __call__(self, name: str, body: bytes, done: Done) -> None:
        """Have a question answered; raises KeyError for a kind that nobody answers."""
        kind, _, rest = name.partition("/")
        self._clerks[kind](rest, body, done)


class Survey(Everywhere):
    """The workers, asked through the hub process's `service`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def ask(self, name: str, params: bytes, done: Callable[[list[bytes | None]], object]) -> None:
        """See `Everywhere.ask`."""

        def answered(answers: dict[int, bytes | None]) -> None:
            done(list(answers.values()))

        try:
            self._service.call_all(f"{API}/{name}", params, API_TIMEOUT_S, answered)
        except LinkError:  # longer than a link carries
            done([None])
