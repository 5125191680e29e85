"""Times and sizes as people write them: "30s", "500ms", "64KiB", "10MB". One parser for each.

What is read is a number in the base unit of its setting; a number without a unit is in it already. Pure.
"""

from __future__ import annotations

import re

MS_IN = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
"""Units of time, in milliseconds. They are written in lower case: M would be for months, or mega."""

BYTES_IN = {
    "B": 1,
    "kB": 1000, "MB": 1000**2, "GB": 1000**3,
    "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3,
}  # fmt: skip
"""Units of size, in bytes, however their letters are cased: nobody means a bit."""

_FOLDED = {unit.lower(): factor for unit, factor in BYTES_IN.items()}
_AMOUNT = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))? ?([A-Za-z]*)")


class UnitError(ValueError):
    """A text that is no amount; the message says what would be one, without naming the setting."""


def parse(text: str, unit: str) -> float | int:
    """Return what `text` says in the base unit "s", "ms" or "B"; raises UnitError."""
    return size(text) if unit == "B" else duration(text, unit)


def duration(text: str, base: str = "s") -> float:
    """Return a time in the unit `base`, a key of MS_IN; raises UnitError."""
    number, decimals, unit = _split(text, "time", MS_IN)
    factor_ms = MS_IN.get(unit or base)
    if factor_ms is None:
        raise _unknown(text, "time", MS_IN)
    result: float = number * factor_ms / (10**decimals * MS_IN[base])
    return result


def size(text: str) -> int:
    """Return a size in bytes; raises UnitError, also for one that is not a whole number of them."""
    number, decimals, unit = _split(text, "size", BYTES_IN)
    factor = _FOLDED.get(unit.lower() or "b")
    if factor is None:
        raise _unknown(text, "size", BYTES_IN)
    whole, rest = divmod(number * factor, 10**decimals)
    if rest:
        raise UnitError(f"{text!r} is not a whole number of bytes")
    return int(whole)


def spell(value: float, unit: str) -> str:
    """Return a text that `parse` reads as `value`: in the largest unit of which it is a whole number.

    Decimal units of size are not written: what is made here is a default, or a limit of memory.
    """
    if unit == "B":
        largest_first = ("GiB", "MiB", "KiB")
        name = next((name for name in largest_first if value and value % BYTES_IN[name] == 0), "B")
        return f"{int(value) // BYTES_IN[name]}{name}"
    value_ms = value * MS_IN[unit]
    names = ("d", "h", "m", "s")
    name = next((name for name in names if value_ms and value_ms % MS_IN[name] == 0), "")
    if name:
        return f"{int(value_ms) // MS_IN[name]}{name}"
    plain = f"{value:.9f}".rstrip("0").rstrip(".")
    return f"{plain}{unit}"


def units_of(unit: str) -> tuple[str, ...]:
    """Return the units that may stand for the base unit `unit`."""
    return tuple(BYTES_IN if unit == "B" else MS_IN)


def _split(text: str, what: str, table: dict[str, int]) -> tuple[int, int, str]:
    """Return the digits as one number, how many of them are decimals, and the unit."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise _unknown(text, what, table)
    decimals = found[2] or ""
    return int(found[1] + decimals), len(decimals), found[3]


def _unknown(text: str, what: str, table: dict[str, int]) -> UnitError:
    example = "30s" if what == "time" else "64KiB"
    *names, last = table
    return UnitError(
        f"{text!r} is not a {what}: a number is, with {', '.join(names)} or {last}, as in {example}"
    )
