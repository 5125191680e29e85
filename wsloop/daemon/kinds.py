"""The kinds of values that settings take: their bounds, their base units, and whether they may change live.

`Meta.extra` carries what `units.py` and `reload.py` ask for: `unit` is the base unit of a number that may
be written with a unit, `live` tells that a reload applies the key, `secret` that its value is not
shown; `expects` says what the pattern of a text means.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec

from wsloop.daemon.bounds import (
    API_KEY_PATTERN,
    MAX_COUNT,
    MAX_DELAY_MS,
    MAX_FRAME_MESSAGES,
    MAX_SECONDS,
    MAX_SPOOL_BYTES,
    MAX_WORKERS,
    MIN_SPOOL_BYTES,
)

Value = TypeVar("Value")

Live = Annotated[Value, msgspec.Meta(extra={"live": True})]
"""A key that a reload applies to the running server, without a restart."""

_S = {"unit": "s"}
_MS = {"unit": "ms"}
_BYTES = {"unit": "B"}

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=MAX_SECONDS, extra=_S)]
Grace = Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS, extra=_S)]
Delay = Annotated[float, msgspec.Meta(ge=0, le=MAX_DELAY_MS, extra=_MS)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Positive = Annotated[int, msgspec.Meta(gt=0, le=MAX_COUNT)]
Workers = Annotated[int, msgspec.Meta(ge=1, le=MAX_WORKERS, extra={"word": "auto"})] | Literal["auto"]
FrameMessages = Annotated[int, msgspec.Meta(ge=1, le=MAX_FRAME_MESSAGES)]
Bytes = Annotated[int, msgspec.Meta(gt=0, le=MAX_COUNT, extra=_BYTES)]
BytesOrNone = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT, extra=_BYTES)]
Memory = Annotated[int, msgspec.Meta(ge=1024 * 1024, extra=_BYTES)]
SpoolSize = Annotated[int, msgspec.Meta(ge=MIN_SPOOL_BYTES, le=MAX_SPOOL_BYTES, extra=_BYTES)]
RateText = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([1-9][0-9]{0,8}/([1-9][0-9]{0,4})?[smh])?\Z",
        extra={"expects": 'a rate such as "60/1s", "5/m" or "100/2h"'},
    ),
]
Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
    "ES512", "EdDSA",
]  # fmt: skip
Texts = tuple[str, ...]
FilePath = Annotated[str, msgspec.Meta(min_length=1)]
Secret = Annotated[str, msgspec.Meta(extra={"secret": True})]
UrlText = Annotated[str, msgspec.Meta(extra={"url": True})]
ApiKey = Annotated[
    str,
    msgspec.Meta(
        pattern=API_KEY_PATTERN, extra={"secret": True, "expects": "8 to 255 visible characters of ASCII"}
    ),
]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "text", "json"]
Backend = Literal["auto", "epoll", "kqueue", "poll", "select"]
ForwardedHeader = Literal["x-forwarded-for", "forwarded", "proxy-protocol"]
Deflate = Literal["off", "on", "auto"]
HookName = Literal["disconnect", "unsubscribe", "occupied", "vacated"]
