"""The settings as rows: nothing is left out, nothing unexplained."""

from __future__ import annotations

import typing
from typing import Annotated

import msgspec
import pytest

from wsloop.daemon.settings import Settings
from wsloop.daemon.table import Key, all_keys, keys_of, namespace_keys, sections, struct_in
from wsloop.hub.namespaces import Namespace

ROWS = {key.path: key for key in (*all_keys(), *namespace_keys("channels"))}


def test_every_field_of_every_section_has_its_row() -> None:
    fields = {f"{name}.{field}" for name, kind in sections().items() for field in kind.__struct_fields__}
    assert {key.path for key in all_keys()} == fields
    assert {*sections(), "dev", "channels", "namespaces"} == set(Settings.__struct_fields__)
    assert [key.name for key in namespace_keys("channels")] == list(Namespace.__struct_fields__)


@pytest.mark.parametrize("key", ROWS.values(), ids=ROWS)
def test_every_key_says_what_it_means_in_one_line_and_has_a_good_default(key: Key) -> None:
    assert key.meaning
    assert not key.meaning.endswith(".")
    assert key.default is None or isinstance(key.default, key.kind)
    assert (key.default is None) <= key.is_optional
    if key.default is not None:
        assert msgspec.convert(key.default, key.declared) == key.default
    assert key.unit in ("", "s", "ms", "B")
    assert key.variable == key.variable.upper()


def test_what_is_secret_live_or_has_a_unit_is_seen_through_all_wrapping() -> None:
    assert {path for path, key in ROWS.items() if key.is_secret} >= {
        "admin.api_key",
        "token.hmac_secret_key",
        "subscription_token.hmac_secret_key",
    }
    assert ROWS["admin.api_key"].is_live
    assert ROWS["admin.api_key"].is_optional
    assert not ROWS["server.port"].is_live
    assert ROWS["client.channel_limit"].is_live  # with its section
    assert ROWS["channels.presence"].is_live
    assert (ROWS["ws.max_size"].unit, ROWS["ws.max_size"].kind) == ("B", int)
    assert ROWS["log.level"].choices == ("debug", "info", "warning", "error")
    assert ROWS["server.bind"].kind is tuple


def test_variables_name_the_namespace_as_it_is_written() -> None:
    assert namespace_keys("namespaces.myChat")[0].variable == "WSLOOP_NAMESPACES__myChat__PRESENCE"
    assert namespace_keys("channels")[0].variable == "WSLOOP_CHANNELS__PRESENCE"


def test_a_struct_is_found_in_any_wrapping_and_nothing_else_is_one() -> None:
    assert struct_in(Annotated[Namespace | None, msgspec.Meta()]) is Namespace
    assert struct_in(typing.Optional[Namespace]) is Namespace  # noqa: UP045 - the other spelling
    assert struct_in(dict[str, Namespace]) is None
    assert keys_of("x", Namespace, is_live=False)[0].is_live is False
