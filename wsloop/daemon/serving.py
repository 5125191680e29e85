"""Run one process that serves: put it together, listen, live (`life.py`), take it apart.

The order matters. Listening comes before the banner, so that the printed address works; logging's thread
starts before the loop and stops after it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
from typing import TYPE_CHECKING

from wsloop.daemon import compose, life, logs, observing, watchdog
from wsloop.daemon.config import Sources
from wsloop.daemon.reload import Reloading
from wsloop.daemon.roles import Kind
from wsloop.daemon.shares import Share
from wsloop.loop.wakeup import SocketpairWakeup
from wsloop.observe import exposition
from wsloop.observe.ledger import Ledger
from wsloop.server.assembly import assemble

if TYPE_CHECKING:
    from wsloop.daemon.compose import Secrets
    from wsloop.daemon.crew_steering import CrewSteering
    from wsloop.daemon.roles import Role
    from wsloop.daemon.settings import Settings
    from wsloop.daemon.tokens import Tokens
    from wsloop.observe.observer import Observer
    from wsloop.server.assembly import House, Options


def serve(settings: Settings, role: Role, sources: Sources | None = None) -> int:
    """Serve to the end and return the exit code; raises StartupError if it cannot start.

    `sources` are where the settings come from, read again at a reload; None: nowhere.
    """
    share = Share(role)
    with contextlib.ExitStack() as stack:
        stack.callback(logs.start(settings.log, dev=settings.dev, process=role.name))
        secrets = role.secrets or compose.secrets(settings)
        tokens = secrets.tokens
        options = _options(share.of(settings), role, secrets, settings.hooks.spool or "")
        wakeup = SocketpairWakeup()
        stack.callback(wakeup.close)
        ports = compose.real_ports(settings, wakeup, share.gauge(settings))
        stack.callback(ports.poller.close)
        house = assemble(ports, options)
        stack.callback(_tear_down, house)
        if tokens is not None and tokens.sources:
            stack.callback(tokens.fetch(house.reactor, ports.network, ports.entropy))
        observer = observing.observe(house, ports, role)
        house, crew = _joined(house, observer, role)
        role.steward.lending()
        for bind in role.binds:
            house.server.listen(bind)
        if role.admin is not None:
            exposition.load()
            house.server.listen_admin(role.admin, house.admin, secure=settings.admin.tls)
        stack.callback(watchdog.start(house.lag))
        reloading = _reloading(sources or Sources(), settings, share, role, house, tokens)
        observer.add(functools.partial(reloading.record.numbers, is_first=role.kind is Kind.ALONE))
        house.health.add_warning(reloading.record.warning)
        life.Life(house, role, share, reloading, crew).run(ports.clock, wakeup)
    return 0


def _options(settings: Settings, role: Role, secrets: Secrets, spools: str) -> Options:
    """Return the server's options; `spools` is the setting from which each process makes its own."""
    options = compose.options(
        settings, secrets.tokens, secrets.certificates, spools=spools, is_successor=role.is_successor
    )
    if role.kind is Kind.ALONE:
        return options
    # Imported here: a daemon of one process needs nothing of `wsloop.cluster`.
    from wsloop.daemon import joint  # noqa: PLC0415

    name = f"{options.node_name}_{role.name}"
    return dataclasses.replace(options, node_name=name, domain=joint.domain(role, options.broker))


def _joined(house: House, observer: Observer, role: Role) -> tuple[House, CrewSteering | None]:
    """Return the house with metrics, joined to the others, and what steers those if it is the hub's."""
    if role.kind is Kind.ALONE:
        return observing.with_metrics(house, observing.metrics_of(observer)), None
    # Imported here: a daemon of one process needs none of it.
    from wsloop.daemon import joint  # noqa: PLC0415
    from wsloop.daemon.crew_steering import CrewSteering  # noqa: PLC0415
    from wsloop.daemon.heartbeat import Beats  # noqa: PLC0415

    if role.kind is Kind.WORKER:
        return observing.with_metrics(house, joint.join_as_worker(house, observer)), None
    beats = role.steward
    assert isinstance(beats, Beats)
    crew = CrewSteering(house.reactor, beats)
    metrics = joint.join_as_hub(house, observer, crew, Ledger(role.kept), beats.keep)
    return observing.with_metrics(house, metrics), crew


def _reloading(
    sources: Sources, settings: Settings, share: Share, role: Role, house: House, tokens: Tokens | None
) -> Reloading:
    def build(changed: Settings, judges: Tokens | None) -> Options:
        return compose.options(share.of(changed), judges)

    # The changes of several processes are told by their supervisor, once.
    level = logging.INFO if role.kind is Kind.ALONE else logging.DEBUG
    return Reloading(sources, settings, house, tokens, build, level)


def _tear_down(house: House) -> None:
    """Drop whoever is still there."""
    house.server.close()
    house.reactor.stop()  # so that the last turn, which reaps what was dropped, does not sleep
    house.reactor.run_once()
    if house.outside is not None:
        house.outside.close()
    house.domain.close()
    house.reactor.close()
