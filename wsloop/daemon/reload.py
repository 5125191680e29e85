"""HUP: the configuration is read again, compared, and what may change without a restart is changed.

Everything that can fail comes first: the file, the environment and the flags are read as at the start, and
certificates, keys and limits are made of them. Only then anything is changed. Which keys can is told by
`Live` in `settings.py`; the others are reported, and keep their values until the daemon is started again.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from wsloop.daemon import compose, config, logs
from wsloop.daemon.log_sink import check_file
from wsloop.daemon.printing import spelt
from wsloop.daemon.table import all_keys, namespace_keys, sections
from wsloop.errors import ConfigError, StartupError
from wsloop.server.following import follow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsloop.daemon.config import Sources
    from wsloop.daemon.settings import Settings
    from wsloop.daemon.table import Key
    from wsloop.daemon.tokens import Tokens
    from wsloop.loop.clock import WallClock
    from wsloop.observe.snapshot import Numbers
    from wsloop.server.assembly import House, Options

    Build = Callable[[Settings, Tokens | None], Options]

log = logging.getLogger("wsloop.daemon")


MAX_ERROR = 512
"""Characters of a mistake that are told for as long as it lasts. It may name what stands in a file, however
long that is; in full it is in the log."""


class Change(msgspec.Struct, frozen=True):
    """What is otherwise than before: `path`, the key, or a table that has come or gone, and how.

    `is_live`: it has taken effect; otherwise it needs a restart. No secret is in it.
    """

    path: str
    text: str
    is_live: bool = True

    def __str__(self) -> str:
        return f"{self.path}: {self.text}{'' if self.is_live else ' needs a restart'}"


class Outcome(msgspec.Struct, frozen=True):
    """What a reload came to: the changes, or the mistake because of which nothing was changed."""

    changes: tuple[Change, ...] = ()
    error: str = ""
    hint: str = ""

    def lines(self) -> list[str]:
        """Return it in words, for the log and for `wsloop ctl reload`."""
        if self.error:
            return [f"{self.error}; nothing was changed"]
        return [str(change) for change in self.changes] or ["no key was changed"]


class Record:
    """How the reloads of one process went.

    `failures` is how many failed, `error` the last one's mistake, "" if it was none. `good_unix_s` is
    when the settings that hold were read; `unix_s` is the time now.
    """

    __slots__ = ("_unix_s", "error", "failures", "good_unix_s")

    def __init__(self, unix_s: WallClock) -> None:
        self._unix_s = unix_s
        self.failures = 0
        self.error = ""
        self.good_unix_s = unix_s()

    def note(self, outcome: Outcome) -> None:
        """Take note of what a reload came to."""
        self.error = outcome.error[:MAX_ERROR]
        if outcome.error:
            self.failures += 1
        else:
            self.good_unix_s = self._unix_s()

    def warning(self) -> str:
        """Return that the settings are not those of the files, "" if they are (`Health`)."""
        return f"reload: {self.error}; nothing was changed" if self.error else ""

    def numbers(self, *, is_first: bool) -> Numbers:
        """Return it for the metrics; only the first process of a daemon decides which settings hold."""
        found: dict[str, float] = {
            "wsloop_reload_failures_total": self.failures,
            "wsloop_last_reload_failed": bool(self.error),
        }
        if is_first:
            found["wsloop_last_reload_success_timestamp_seconds"] = self.good_unix_s
        return found


class Plan(msgspec.Struct, frozen=True):
    """What a reload would do: `settings` are those that would hold, the live keys of the new ones."""

    settings: Settings
    changes: tuple[Change, ...]
    tokens: Tokens | None
    options: Options


def plan(sources: Sources, running: Settings, build: Build = compose.options) -> Plan:
    """Read and make everything that a reload needs, and change nothing; raises StartupError."""
    settings, changes = merged(running, config.read(sources).settings)
    if any(not change.is_live for change in changes):
        try:
            config.check_together(settings, lambda _table, _key: "")
        except ConfigError as error:
            raise ConfigError(f"some of it needs a restart, and so {error.message}", error.hint) from None
    if settings.log.file and settings.log.file != running.log.file:
        check_file(settings.log.file)
    tokens = compose.tokens(settings)
    return Plan(settings, tuple(changes), tokens, build(settings, tokens))


def judge(sources: Sources, running: Settings) -> tuple[Outcome, Plan | None]:
    """Say in the log, and return, what a reload comes to, and by what (None: a mistake). For a supervisor."""
    found = _tried(sources, running, compose.options)
    if isinstance(found, Outcome):
        return found, None
    return _told(found, logging.INFO), found


def _tried(sources: Sources, running: Settings, build: Build) -> Plan | Outcome:
    """Return the plan, or the mistake, which is logged."""
    try:
        return plan(sources, running, build)
    except StartupError as error:
        outcome = Outcome(error=error.message, hint=error.hint)
        log.error(f"reload: {outcome.lines()[0]}")
        return outcome


def _told(found: Plan, level: int) -> Outcome:
    """Let the log follow a plan, and log what that has changed; return the changes.

    They are told at the old level of the log or the new one, whichever lets more through.
    """
    is_quieter = logging.getLevelName(found.settings.log.level.upper()) > log.getEffectiveLevel()
    if not is_quieter:
        logs.apply(found.settings.log)
    outcome = Outcome(found.changes)
    # Each line has a text of its own: the log's limit is for one cause that comes again and again.
    for line in outcome.lines():
        log.log(level, f"reload: {line}")
    if found.options.certificates is not None:
        log.log(level, "reload: the certificate was read again")
    if found.tokens is not None:
        log.log(level, "reload: the keys for tokens were read again")
    if is_quieter:
        logs.apply(found.settings.log)
    return outcome


class Reloading:
    """Reloads one process that serves.

    `record` tells how it went. `settings` are those that hold; `tokens` what was made of them, `build` makes
    a server's options. The changes are told at `level`: where a supervisor has told them for all, nobody
    needs them again.
    """

    def __init__(
        self,
        sources: Sources,
        settings: Settings,
        house: House,
        tokens: Tokens | None,
        build: Build = compose.options,
        level: int = logging.INFO,
    ) -> None:
        self.settings = settings
        self.record = Record(house.hub.unix_s)
        self._level = level
        self._sources = sources
        self._house = house
        self._tokens = tokens
        self._build = build

    def run(self) -> Outcome:
        """Reload, tell in the log what came of it, and return it."""
        found = _tried(self._sources, self.settings, self._build)
        if isinstance(found, Plan):
            self._apply(found)
            found = _told(found, self._level)
        self.record.note(found)
        return found

    def _apply(self, found: Plan) -> None:
        """Change what is live, but for the log. Nothing here fails."""
        if found.tokens is not None and self._tokens is not None:
            self._tokens = self._tokens.adopt(found.tokens)
        else:
            self._tokens = found.tokens
        verifier = self._tokens.verifier if self._tokens is not None else None
        options = dataclasses.replace(found.options, verifier=verifier)
        before, self.settings = self.settings, found.settings
        follow(
            self._house,
            options,
            has_other_namespaces=before.all_namespaces() != found.settings.all_namespaces(),
        )


def merged(running: Settings, new: Settings) -> tuple[Settings, list[Change]]:
    """Return the running settings with the live keys of new ones, and all differences."""
    changes: list[Change] = []
    tables: dict[str, Any] = {"channels": new.channels, "namespaces": new.namespaces}
    for name in sections():
        before, after = getattr(running, name), getattr(new, name)
        if before is not None and after is not None:
            tables[name] = _merged_table(name, running, new, changes)
        elif before is not after:
            changes.append(Change(name, "added" if before is None else "removed", is_live=False))
    changes += _of_namespaces(running, new)
    return msgspec.structs.replace(running, **tables), changes


def _merged_table(name: str, running: Settings, new: Settings, changes: list[Change]) -> msgspec.Struct:
    before, after = getattr(running, name), getattr(new, name)
    values = {}
    for key in (key for key in all_keys() if key.section == name):
        old, wanted = getattr(before, key.name), getattr(after, key.name)
        if old != wanted:
            is_live = key.is_live and not _is_held(key, running, new)
            changes.append(Change(key.path, _difference(key, old, wanted), is_live))
            if is_live:
                values[key.name] = wanted
    table: msgspec.Struct = msgspec.structs.replace(before, **values)
    return table


def _is_held(key: Key, running: Settings, new: Settings) -> bool:
    """Whether a live key needs a restart this once: TLS is switched on or off, or a set is fetched."""
    if key.section == "tls":
        return (running.tls.certfile is None) is not (new.tls.certfile is None)
    return key.name == "algorithms" and bool(getattr(running, key.section).jwks_url)


def _of_namespaces(running: Settings, new: Settings) -> Iterator[Change]:
    """Yield what is different in the options of channels; all of it is live."""
    before, after = running.all_namespaces(), new.all_namespaces()
    for name in sorted({*before, *after}):
        table = f"namespaces.{name}" if name else "channels"
        if name not in after:
            yield Change(table, "removed")
        elif name not in before:
            yield Change(table, "added")
        else:
            for key in namespace_keys(table):
                old, wanted = getattr(before[name], key.name), getattr(after[name], key.name)
                if old != wanted:
                    yield Change(key.path, _difference(key, old, wanted))


def _difference(key: Key, before: object, after: object) -> str:
    return f"{spelt(key, before) or '(not set)'} -> {spelt(key, after) or '(not set)'}"
