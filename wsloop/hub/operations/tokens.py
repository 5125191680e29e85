"""Operations that take rights back: of users and of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.hub import blocking, codes
from wsloop.hub.operations.results import EmptyResult
from wsloop.hub.revocations import RevocationError

if TYPE_CHECKING:
    from wsloop.hub.operations.core import Finished, Operations
    from wsloop.hub.operations.requests import (
        BlockUserRequest,
        InvalidateUserTokensRequest,
        RevokeTokenRequest,
        UnblockUserRequest,
    )


def block_user(operations: Operations, request: BlockUserRequest, done: Finished) -> None:
    """Carry out `block_user`; error 106 if no more can be noted."""
    try:
        blocking.block_user(operations.hub, request.user, request.expire_at)
    except RevocationError:
        raise codes.ReplyError(codes.LIMIT_EXCEEDED) from None
    done(EmptyResult())


def unblock_user(operations: Operations, request: UnblockUserRequest, done: Finished) -> None:
    """Carry out `unblock_user`."""
    blocking.unblock_user(operations.hub, request.user)
    done(EmptyResult())


def revoke_token(operations: Operations, request: RevokeTokenRequest, done: Finished) -> None:
    """Carry out `revoke_token`; error 106 if no more can be noted."""
    try:
        blocking.revoke_token(operations.hub, request.uid, request.expire_at)
    except RevocationError:
        raise codes.ReplyError(codes.LIMIT_EXCEEDED) from None
    done(EmptyResult())


def invalidate_user_tokens(
    operations: Operations, request: InvalidateUserTokensRequest, done: Finished
) -> None:
    """Carry out `invalidate_user_tokens`; error 108 for those of one channel only, 106 as above."""
    if request.channel:
        raise codes.ReplyError(codes.NOT_AVAILABLE)
    try:
        blocking.invalidate_user_tokens(
            operations.hub, request.user, request.issued_before, request.expire_at
        )
    except RevocationError:
        raise codes.ReplyError(codes.LIMIT_EXCEEDED) from None
    done(EmptyResult())
