"""Limits and switches of the hub, each with its unit and its reason."""

from __future__ import annotations

import msgspec

from wsloop.hub.naming import USER_BOUNDARY, USER_SEPARATOR

_NAMES_OTHERS = frozenset({USER_BOUNDARY, USER_SEPARATOR})


class HubOptions(msgspec.Struct, frozen=True):
    """What holds for all clients of a hub. The defaults are Centrifugo's where it has the option.

    `version`: what `connect` answers as the server's version.
    `allow_anonymous`: a client without a token may connect, and has the user "".
    `anonymous_info`: the object an anonymous client sends as `connect.data` is shown to others
    as its `conn_info`, if it is no longer than `info_limit_bytes`: it goes into every presence
    list and publication. For demonstrations, as anybody may claim any name.
    `personal_channel`: each user is subscribed at connect to its own channel, `#user` in the
    namespace `personal_namespace`, and `broadcast_channel`, unless "", has everybody in it.
    `connect_proxy`, `refresh_proxy`, `rpc_proxy`, `send_proxy`: the backend is asked.
    `expired_grace_s`: how long after its end a connection or a subscription may still be renewed.
    `ping_interval_s`: told to clients, which give up after a silence of this and their own
    grace (10 s in the SDKs); 0 promises no pings.
    `user_connection_limit`: connected clients of one user, 0 for any number; anonymous ones are nobody's.
    `channel_limit`: subscriptions of one client.
    `recovery_limit`: publications in one subscribe reply; a client that missed more reloads.
    `history_limit`: publications in one history reply.
    `recovery_limit_bytes`, `history_limit_bytes`: the same in bytes of JSON (of a connect reply, for all
    of its channels together), so that one short command does not have many megabytes queued. Who
    missed more reloads, as above; who reads history gets what fits, and asks on.
    """

    version: str = "wsloop"
    allow_anonymous: bool = False
    anonymous_info: bool = False
    info_limit_bytes: int = 1024
    personal_channel: bool = False
    personal_namespace: str = ""
    broadcast_channel: str = ""
    connect_proxy: bool = False
    refresh_proxy: bool = False
    rpc_proxy: bool = False
    send_proxy: bool = False
    expired_grace_s: float = 25.0
    ping_interval_s: int = 25
    user_connection_limit: int = 0
    channel_limit: int = 128
    recovery_limit: int = 300
    history_limit: int = 300
    recovery_limit_bytes: int = 4 * 1024 * 1024
    history_limit_bytes: int = 1024 * 1024

    def has_personal_channel(self, user: str) -> bool:
        """Return whether a user has a channel of its own.

        None whose id has a comma or a `#`: by its name it would be the channel of others.
        """
        return self.personal_channel and bool(user) and not _NAMES_OTHERS.intersection(user)

    def personal_channel_of(self, user: str) -> str:
        """Return the channel of one user's own; meaningful with `has_personal_channel` only."""
        namespace = f"{self.personal_namespace}:" if self.personal_namespace else ""
        return f"{namespace}#{user}"
