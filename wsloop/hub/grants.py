"""What a token, a backend or the configuration grants: who a client is, what a subscription may be.

Whoever decides (`tokens.py`, a proxy behind `backend.py`, the operator's call) answers with these;
whoever carries it out (`connecting.py`, `subscribing.py`) need not know who decided.
"""

from __future__ import annotations

import msgspec


class Override(msgspec.Struct, frozen=True, gc=False):
    """Options of the namespace that one subscription has differently; None leaves an option as it is."""

    presence: bool | None = None
    join_leave: bool | None = None
    force_push_join_leave: bool | None = None
    force_positioning: bool | None = None
    force_recovery: bool | None = None


class SubscriptionGrant(msgspec.Struct, frozen=True, gc=False):
    """The right to one channel.

    `info`: what others see of the client there (`chan_info`), JSON or b"". `data`: given to the
    client with the reply, JSON or b"". `expire_at`: Unix seconds, 0 for never. `from_backend`:
    whether it is the backend that renews it.
    """

    info: bytes = b""
    data: bytes = b""
    expire_at: int = 0
    override: Override | None = None
    from_backend: bool = False


class Identity(msgspec.Struct, frozen=True):
    """Who a client is.

    `user` is "" if anonymous. `info`: what others see of it (`conn_info`), JSON or b"". `data`:
    given to the client with the reply, JSON or b"". `meta`: kept for the backend and the
    operator, never shown to clients. `expire_at`: Unix seconds, 0 for never. `subscriptions`:
    channels that the server subscribes it to. `issued_at` and `token_id` (Unix seconds or 0,
    and `jti`) are what revocations go by. `from_backend`: whether it is the backend that renews it.
    """

    user: str
    info: bytes = b""
    data: bytes = b""
    meta: bytes = b""
    expire_at: int = 0
    subscriptions: dict[str, SubscriptionGrant] = {}
    issued_at: int = 0
    token_id: str = ""
    from_backend: bool = False


class SubscriptionToken(msgspec.Struct, frozen=True):
    """What a subscription token says: `grant` for `channel` to `user`.

    Only to that `client`, unless it is "".
    """

    user: str
    channel: str
    client: str
    grant: SubscriptionGrant
    issued_at: int = 0
    token_id: str = ""
