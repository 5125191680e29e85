"""What an SDK does with the pushes of one connection: deltas applied, numbers resolved, positions kept."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.hub import fossil

if TYPE_CHECKING:
    from tests.hub.support import Peer


@dataclass
class Followed:
    """One subscription as the client sees it; `heard`: (channel, payload) of each publication."""

    is_live: bool = False
    is_delta: bool = False
    base: bytes = b""
    offset: int = 0
    epoch: str = ""
    differences: int = 0
    heard: list[tuple[str, Any]] = field(default_factory=list)

    def take(self, name: str, pub: dict[str, Any]) -> None:
        """Hear of a publication."""
        data = pub["data"]
        if self.is_delta:
            assert isinstance(data, str)
            text = data.encode()
            if pub.get("delta"):
                text = fossil.apply(self.base, text)
                self.differences += 1
            self.base = text
            data = json.loads(text)
        else:
            assert "delta" not in pub
        self.offset = pub.get("offset", self.offset)
        self.heard.append((pub.get("channel", name), data))


class Sdk:
    """A client and its subscriptions, by name."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.followed: dict[str, Followed] = {}
        self.names: dict[int, str] = {}

    def subscribe(self, name: str, **request: Any) -> dict[str, Any] | int:
        """Subscribe; return the reply, or the code of the error."""
        one = self.followed.setdefault(name, Followed())
        self.read()
        result: dict[str, Any] | int = self.peer.ask("subscribe", channel=name, **request)
        if isinstance(result, int):
            return result
        one.is_live, one.is_delta, one.base = True, result.get("delta", False), b""
        if "id" in result:
            assert self.names.setdefault(result["id"], name) == name
        one.epoch, one.offset = result.get("epoch", ""), result.get("offset", 0)
        for pub in result.get("publications", ()):
            one.take(name, pub)
        self.read()
        return result

    def unsubscribe(self, name: str) -> None:
        """Unsubscribe."""
        self.read()
        assert self.peer.ask("unsubscribe", channel=name) == {}
        self.followed[name].is_live = False

    def read(self) -> None:
        """Take all pushes that have come."""
        for line in self.peer.take():
            push = line["push"]
            assert ("channel" in push) != ("id" in push)
            name = push["channel"] if "channel" in push else self.names[push["id"]]
            assert self.followed[name].is_live
            if "pub" in push:
                self.followed[name].take(name, push["pub"])
