"""Close codes and the payload of a close frame (RFC 6455 sections 5.5.1 and 7.4).

Knows nothing of states: when a close frame may be sent is decided in `session.py`. The table
for people is `docs/reference/close-codes.md`.
"""

from __future__ import annotations

from enum import IntEnum

from wsloop.errors import MAX_REASON_BYTES


class CloseCode(IntEnum):
    """The registered codes; 3000-4999 belong to frameworks and applications."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RECEIVED = 1005
    ABNORMAL = 1006
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    TLS_HANDSHAKE = 1015


_LOCAL_ONLY = (CloseCode.NO_STATUS_RECEIVED, CloseCode.ABNORMAL, CloseCode.TLS_HANDSHAKE)
_ON_THE_WIRE = frozenset(int(code) for code in CloseCode if code not in _LOCAL_ONLY)


def is_valid_received(code: int) -> bool:
    """Tell whether `code` may stand in a close frame, in either direction.

    RFC 6455 section 7.4.2: below 3000 only what is registered, and of that not what describes
    the absence of a code. 1014 (bad gateway) counts as unregistered, as wsproto has it.
    """
    return 3000 <= code <= 4999 or code in _ON_THE_WIRE


def truncate_reason(reason: str) -> bytes:
    """Encode `reason` as UTF-8 of at most 123 bytes, cut between characters.

    A lone surrogate, which UTF-8 cannot hold, becomes "?".
    """
    data = reason.encode("utf-8", "replace")
    if len(data) <= MAX_REASON_BYTES:
        return data
    return data[:MAX_REASON_BYTES].decode("utf-8", "ignore").encode("utf-8")


def encode_close(code: int, reason: str = "") -> bytes:
    """Return the payload of a close frame: at most 125 bytes, empty for 1005.

    1005 stands for "no code" and takes no reason. Raises ValueError for any other code that
    may not be sent.
    """
    if code == CloseCode.NO_STATUS_RECEIVED and not reason:
        return b""
    if not is_valid_received(code):
        raise ValueError(f"{code} must not be sent in a close frame")
    return code.to_bytes(2, "big") + truncate_reason(reason)
