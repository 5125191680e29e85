"""The sections [proxy] and [hooks]."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from wsloop.client.application import ProxyOptions, SpoolOptions, TellOptions
from wsloop.client.backend import QUESTIONS
from wsloop.client.breaker import BreakerRules
from wsloop.client.hooks import EVENTS, HookOptions
from wsloop.client.pool import HttpLimits
from wsloop.client.urls import parse_url
from wsloop.daemon import application, compose, outside
from wsloop.daemon.config import load
from wsloop.daemon.settings import HookSettings, ProxySettings, Settings
from wsloop.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

URL = "http://127.0.0.1:3000/x"


def written(folder: Path, text: str) -> Path:
    path = folder / "wsloop.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            '[proxy]\nconnect = "app"\n',
            "wsloop.toml:2: proxy.connect is not a URL that can be asked",
            "it begins with http:// or https://",
        ),
        ('[hooks]\nurl = "http://u:pw@app/"\n', "wsloop.toml:2: hooks.url is not a URL", "its port is"),
        (
            '[proxy]\nsubscribe = "http://app/"\n',
            "wsloop.toml:2: proxy.subscribe: is never asked",
            "set subscribe_proxy in a namespace",
        ),
        (
            "[namespaces.chat]\npublish_proxy = true\n",
            "wsloop.toml:2: namespaces.chat.publish_proxy: there is",
            "set proxy.publish to a URL",
        ),
        (
            "[channels]\nsub_refresh_proxy = true\n",
            "wsloop.toml:2: channels.sub_refresh_proxy: there is nobody",
            "set proxy.sub_refresh to a URL",
        ),
        (
            '[proxy]\nrefresh = "http://app/"\n',
            "wsloop.toml:2: proxy.refresh: is never asked without",
            "tokens",
        ),
        ('[proxy]\nheaders = ["Cookie"]\n', "'Cookie' is not a header's name in lower case", "such as"),
        ('[proxy]\nheaders = ["a", "host"]\n', "'host' cannot be forwarded", "it belongs to"),
        (
            '[proxy]\nheaders = ["sec-websocket-key"]\n',
            "'sec-websocket-key' cannot be forwarded",
            "it belongs",
        ),
        ("[proxy]\ntimeout = 0\n", "wsloop.toml:2: proxy.timeout: expected `float` > 0.0", ""),
        ("[hooks]\nbatch_events = 5\n", "hooks.url: is missing", "the other keys have no effect"),
        ('[hooks]\nurl = "http://a/"\nspool_size = 1\n', "wsloop.toml:3: hooks.spool_size: expected", ""),
        (
            '[hooks]\nurl = "http://a/"\nevents = ["gone"]\n',
            "wsloop.toml:3: hooks.events[0]: invalid enum",
            "",
        ),
        ('[proxy]\nurl = "http://a/"\n', "wsloop.toml:2: unknown key 'url'", ""),
    ],
)
def test_a_mistake_is_told_with_its_place_and_a_hint(
    tmp_path: Path, text: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text), {})
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "pw" not in caught.value.message


def test_the_defaults_are_those_of_the_parts() -> None:
    made = application.maker(
        ProxySettings(connect=URL), HookSettings(url=URL), spools="/s", is_successor=True
    )
    built = made.keywords  # type: ignore[attr-defined] # a partial
    url = parse_url(URL, "test")
    assert built["proxy"] == ProxyOptions({"connect": url}, limits=HttpLimits(), rules=BreakerRules())
    assert built["tell"] == TellOptions(url, HookOptions(), SpoolOptions(family="/s"))
    assert built["is_successor"]
    assert outside.QUESTIONS == QUESTIONS
    assert set(HookSettings().events) == set(EVENTS)


def test_without_urls_there_is_no_application() -> None:
    assert compose.options(Settings()).outside is None


@pytest.mark.parametrize(
    ("proxy", "switches"),
    [
        ({"connect": URL, "refresh": URL}, {"connect_proxy", "refresh_proxy"}),
        ({"rpc": URL, "send": URL}, {"rpc_proxy", "send_proxy"}),
        ({}, set()),
    ],
)
def test_the_hub_asks_what_has_a_url(proxy: dict[str, Any], switches: set[str]) -> None:
    options = outside.hub_options(Settings(proxy=ProxySettings(**proxy)))
    names = ("connect_proxy", "refresh_proxy", "rpc_proxy", "send_proxy")
    assert {name for name in names if getattr(options, name)} == switches


def test_connections_to_the_application_are_kept_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "descriptor_limit", lambda: 1000)
    same = ProxySettings(rpc=URL, send="http://127.0.0.1:3000/y", connect="http://app/", max_in_flight=10)
    settings = Settings(proxy=same, hooks=HookSettings(url=URL))
    assert outside.descriptors(settings) == 3 * 10 + 5
    assert compose.options(settings).max_connections == 1000 - compose.RESERVED_DESCRIPTORS - 35


def test_an_application_brings_neither_asyncio_nor_openssl() -> None:
    code = (
        "import sys, wsloop.daemon.run, wsloop.daemon.application; "
        "print({'asyncio', 'ssl', 'urllib.request', 'http.client'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
