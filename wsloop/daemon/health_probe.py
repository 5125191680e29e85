"""Is the daemon ready? Asked from outside, for `wsloop health`: a probe of Docker's, or a script's."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import TYPE_CHECKING

from wsloop.client.urls import parse_url
from wsloop.daemon import ctl_client
from wsloop.daemon.admin import DEFAULT_PORT
from wsloop.daemon.ctl_client import NotDoneError
from wsloop.errors import ConfigError, UsageError
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from pathlib import Path

    from wsloop.client.urls import Url

TIMEOUT_S = 4.0
"""Docker gives a probe 5 s in our image."""

READY = "/readyz"


def reasons(url: str, control: Path | None, config_path: Path | None) -> list[str]:
    """Return why the daemon is not ready, [] if it is; raises NotDoneError if nobody can be asked."""
    if control is not None:
        return _of_control(control)
    if url:
        return _of_admin(_parsed(url))
    place = _configured(config_path)
    if place is None:
        return _of_control(None)
    try:
        return _of_admin(place)
    except ctl_client.GoneError:
        return _of_control(None)


def _of_control(path: Path | None) -> list[str]:
    told = ctl_client.find(path).ask("health")
    return [str(reason) for reason in told["reasons"]]


def _parsed(text: str) -> Url:
    try:
        url = parse_url(text, "URL")
    except ConfigError as error:
        raise UsageError("this is no address of an admin listener", error.hint) from None
    return url._replace(target=READY) if url.target == "/" else url


def _configured(path: Path | None) -> Url | None:
    """Return the admin listener of the settings, None if there is none."""
    from wsloop.daemon import config  # noqa: PLC0415 - not where a URL is given

    admin = config.load(path, {}).admin
    if not admin.enabled:
        return None
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(admin.host, admin.host)
    place = TcpBind(host, DEFAULT_PORT if admin.port is None else admin.port)
    return parse_url(f"{'https' if admin.tls else 'http'}://{place}{READY}", "admin")


def _of_admin(url: Url) -> list[str]:
    address = url.origin.address
    if not isinstance(address, TcpBind):
        raise UsageError("this is no address of an admin listener", "for a control socket there is --control")
    connection: http.client.HTTPConnection
    if url.origin.is_secure:
        # Whose certificate it is matters little: the question is whether somebody is ready.
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(
            address.host, address.port, timeout=TIMEOUT_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", url.target)
        response = connection.getresponse()
        body = response.read(65_536)
    except TimeoutError:
        raise NotDoneError(f"no answer from {url.origin} in {TIMEOUT_S:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it hung up"
        raise ctl_client.GoneError(f"cannot ask {url.origin}: {reason}", "is the daemon running?") from None
    finally:
        connection.close()
    if response.status == http.client.OK:
        return []
    if response.status != http.client.SERVICE_UNAVAILABLE:
        raise NotDoneError(f"{url} answers {response.status}", "is that the admin listener?")
    return _reasons_in(body)


def _reasons_in(body: bytes) -> list[str]:
    """Return the reasons that an answer gives, in JSON or as lines; at least one."""
    text = body.decode("utf-8", "replace").strip()
    try:
        told = json.loads(text)
        found = told["reasons"] if isinstance(told, dict) else None
    except (ValueError, KeyError):
        found = None
    return [str(reason) for reason in found] if found else (text.splitlines() or ["it does not say why"])
