"""Taking rights back while they are used: the notes in `revocations.py`, and who has to go at once.

Whom an operator blocks is told never to come back (3503). Who is here by a token that was revoked
is told to forget it and to come back with another (3014), for the user as such has done no wrong; a
client that comes with the same one is turned away for good (3500).

Both kinds of token pass through here when they are shown, since what they say may have been taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.hub import codes
from wsloop.hub.revocations import Refusal
from wsloop.hub.verifier import ExpiredTokenError, InvalidTokenError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.hub.client import Client
    from wsloop.hub.grants import Identity, SubscriptionGrant
    from wsloop.hub.hub import Hub
    from wsloop.hub.revocations import RevocationList


TOKEN_COMMANDS = 8
"""What judging a token costs, in commands: at 30 us each, as much as ECDSA and EdDSA take, twice RSA. So
a message of a thousand subscribes with tokens, good or bad, keeps nobody waiting for more than 5 ms."""


def block_user(hub: Hub, user: str, until_s: float = 0) -> int:
    """Block a user until `until_s`, Unix seconds, 0 for ever; return how many connections were closed.

    Raises RevocationError if it cannot be noted.
    """
    hub.revocations.block_user(user, until_s, hub.unix_s())
    return _close(hub, hub.clients_of(user), codes.DISCONNECT_FORCE_NO_RECONNECT)


def unblock_user(hub: Hub, user: str) -> None:
    """Let a user in again."""
    hub.revocations.unblock_user(user)


def revoke_token(hub: Hub, token_id: str, until_s: float = 0) -> int:
    """Revoke the tokens with this `jti` until `until_s`, Unix seconds, 0 for ever.

    Returns how many connections were closed. Looks at every client: some 50 us for a thousand.
    Raises RevocationError if it cannot be noted.
    """
    hub.revocations.revoke_token(token_id, until_s, hub.unix_s())
    return _close(hub, hub.all_clients(), codes.DISCONNECT_STATE_INVALIDATED)


def invalidate_user_tokens(hub: Hub, user: str, issued_before_s: float = 0, until_s: float = 0) -> int:
    """Revoke a user's tokens issued before a moment, Unix seconds; until `until_s`, 0 for ever.

    The moment 0 is the beginning of the present second: `iat` counts in whole ones, and the token that a
    client fetches at once, having been told that its own is no good, must be.

    Returns how many connections were closed. Raises RevocationError if it cannot be noted.
    """
    now_s = hub.unix_s()
    hub.revocations.invalidate_user_tokens(user, issued_before_s or int(now_s), until_s, now_s)
    return _close(hub, hub.clients_of(user), codes.DISCONNECT_STATE_INVALIDATED)


def replace(hub: Hub, noted: RevocationList) -> int:
    """Note what another process has noted, and nothing else; return how many connections were closed.

    Whoever was blocked meanwhile is told so; whose token was taken back is told to fetch another.
    """
    unix_s = hub.unix_s()
    hub.revocations.replace(noted, unix_s)
    closed = 0
    for client in hub.all_clients():
        refusal = hub.revocations.refusal(client.identity, unix_s) if client.identity is not None else None
        if refusal is not None and client.is_open:
            is_blocked = refusal is Refusal.BLOCKED
            code = codes.DISCONNECT_FORCE_NO_RECONNECT if is_blocked else codes.DISCONNECT_STATE_INVALIDATED
            client.disconnect(code.code, code.message)
            closed += 1
    return closed


def check(hub: Hub, right: Identity) -> None:
    """Raise DisconnectError if a right was taken back: 3507 for a blocked user, 3500 for a token."""
    refusal = hub.revocations.refusal(right, hub.unix_s())
    if refusal is Refusal.BLOCKED:
        raise codes.DisconnectError(codes.DISCONNECT_PERMISSION_DENIED)
    if refusal is Refusal.REVOKED:
        raise codes.DisconnectError(codes.DISCONNECT_INVALID_TOKEN)


def subscription_grant(client: Client, channel: str, token: str) -> SubscriptionGrant:
    """Return the right to a channel that a client has by a token.

    Raises ReplyError 103 for a token that is not good or was taken back, 109 for one that has expired, 110
    if the right has ended without it; DisconnectError 3500 for another's, 3507 for a blocked user's.
    """
    hub, unix_s = client.hub, client.hub.unix_s()
    client.subscriber.charge(TOKEN_COMMANDS)
    try:
        claims = hub.verifier.verify_subscription(token, unix_s)
    except ExpiredTokenError:
        raise codes.ReplyError(codes.TOKEN_EXPIRED) from None
    except InvalidTokenError:
        raise codes.ReplyError(codes.PERMISSION_DENIED) from None
    if claims.channel != channel or claims.user != client.user or claims.client not in ("", client.id):
        raise codes.DisconnectError(codes.DISCONNECT_INVALID_TOKEN)
    refusal = hub.revocations.refusal(claims, unix_s)
    if refusal is Refusal.BLOCKED:
        raise codes.DisconnectError(codes.DISCONNECT_PERMISSION_DENIED)
    if refusal is Refusal.REVOKED:
        raise codes.ReplyError(codes.PERMISSION_DENIED)
    if 0 < claims.grant.expire_at <= unix_s:
        raise codes.ReplyError(codes.EXPIRED)
    return claims.grant


def _close(hub: Hub, clients: Iterable[Client], code: codes.Code) -> int:
    """Close the connections whose right does not count any more."""
    unix_s = hub.unix_s()
    closed = 0
    for client in clients:
        identity = client.identity
        if client.is_open and identity is not None and hub.revocations.refusal(identity, unix_s) is not None:
            client.disconnect(code.code, code.message)
            closed += 1
    return closed
