"""Where secrets come from that no file has to hold: environment variables, which go before the file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wsloop.errors import ConfigError

if TYPE_CHECKING:
    from wsloop.daemon.settings import Settings

TOKEN_SECTIONS = ("token", "subscription_token")
"""The sections that hold keys for tokens."""

API_KEY_PATTERN = r"^[!-~]{8,255}\Z"
"""A key of the server API: what a header can carry without a doubt, and too long to be guessed by hand."""


def secret_variable(section: str) -> str:
    """Return the name of the variable that holds a section's HMAC secret."""
    return f"WSLOOP_{section.upper()}__HMAC_SECRET_KEY"


def secret(variable: str) -> str:
    """Return the text of an environment variable, "" if it is not set; raises ConfigError if it is not UTF-8.

    What is wrong with it is told without what is in it.
    """
    value = os.environ.get(variable, "")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"${variable} is not UTF-8 text", "base64 or hex is a safe way to write it"
        ) from None
    return value


def has_token_keys(settings: Settings) -> bool:
    """Return whether tokens are configured: a key in a section, or a secret in the environment."""
    for section in TOKEN_SECTIONS:
        token = getattr(settings, section)
        if token is not None and (token.has_keys or os.environ.get(secret_variable(section))):
            return True
    return False
