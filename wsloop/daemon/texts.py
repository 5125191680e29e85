"""A setting's value from text: how flags and variables of the environment are read, by the key's kind."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import msgspec

from wsloop.daemon import units

if TYPE_CHECKING:
    from wsloop.daemon.table import Key

WORDS = {
    "true": True,
    "1": True,
    "on": True,
    "yes": True,
    "false": False,
    "0": False,
    "off": False,
    "no": False,
}
"""What stands for a bool, however its letters are cased."""


def read(key: Key, text: str) -> Any:  # noqa: ANN401 - of the key's kind
    """Return the value that `text` means for a key, within the key's bounds.

    Raises ValueError with a message that names neither the key nor, if it is secret, its value.
    """
    value = _plain(key, text)
    try:
        return msgspec.convert(value, key.declared)
    except msgspec.ValidationError as error:
        raise ValueError(reason(key, str(error).partition(" - at ")[0])) from None


def check(value: object) -> None:
    """Raise ValueError for a text, or a list of some, with a NUL in it: no system call takes that."""
    if any(
        isinstance(text, str) and "\0" in text for text in (value if isinstance(value, list) else [value])
    ):
        raise ValueError("a text cannot have a NUL in it")


def in_base_unit(key: Key, value: object) -> object:
    """Return a file's value as it is or, if it is an amount with a unit, as a number; raises ValueError."""
    return units.parse(value, key.unit) if key.unit and isinstance(value, str) else value


def reason(key: Key | None, message: str) -> str:
    """Return what `message`, a validation error's, says in the words of this house."""
    if key is not None and key.expects and "matching regex" in message:
        return f"expected {key.expects}"
    if key is not None and key.word and "nvalid enum value" in message:
        return f"expected {_numbers(key)}"
    if key is not None and key.choices and "nvalid enum value" in message:
        message = f"{message}; there are {', '.join(key.choices)}"
    return message[0].lower() + message[1:]


def _plain(key: Key, text: str) -> object:
    if key.kind is bool:
        if text.lower() not in WORDS:
            raise ValueError(f"{text!r} is neither true nor false")
        return WORDS[text.lower()]
    if key.kind is tuple:
        return _list(text)
    if key.unit:
        return in_base_unit(key, text)
    if key.word and text == key.word:
        return text
    if key.kind is int or key.kind is float:
        try:
            return key.kind(text)
        except ValueError:
            raise ValueError(f"{text!r} is not {_numbers(key)}") from None
    return text


def _numbers(key: Key) -> str:
    """Return what is expected of a number, and the word that may stand in its place."""
    number = "a whole number" if key.kind is int else "a number"
    return f'{number} or "{key.word}"' if key.word else number


def _list(text: str) -> list[object]:
    """Return a list written as in TOML, or separated by commas."""
    if not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        found = tomllib.loads(f"list = {text}")["list"]
    except tomllib.TOMLDecodeError:
        raise ValueError('expected a list such as ["a", "b"], or a,b') from None
    return list(found)
