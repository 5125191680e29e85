"""Where secrets come from that no file has to hold: environment variables, which go before the file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsloop.daemon.config import Settings

TOKEN_SECTIONS = ("token", "subscription_token")
"""The sections that hold keys for tokens."""


def secret_variable(section: str) -> str:
    """Return the name of the variable that holds a section's HMAC secret."""
    return f"WSLOOP_{section.upper()}__HMAC_SECRET_KEY"


def has_token_keys(settings: Settings) -> bool:
    """Return whether tokens are configured: a key in a section, or a secret in the environment."""
    for section in TOKEN_SECTIONS:
        token = getattr(settings, section)
        if token is not None and (token.has_keys or os.environ.get(secret_variable(section))):
            return True
    return False
