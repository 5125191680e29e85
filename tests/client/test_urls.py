"""URLs of the configuration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.client.urls import Origin, Url, parse_url
from wsloop.errors import ConfigError
from wsloop.transport.bind import TcpBind, UnixBind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://app:8000/c", Url(Origin(TcpBind("app", 8000), False), "/c", "app:8000")),
        ("http://app", Url(Origin(TcpBind("app", 80), False), "/", "app")),
        ("https://app/c?x=1", Url(Origin(TcpBind("app", 443), True), "/c?x=1", "app")),
        ("http://[::1]:8000/", Url(Origin(TcpBind("::1", 8000), False), "/", "[::1]:8000")),
        ("http://[::1]", Url(Origin(TcpBind("::1", 80), False), "/", "[::1]")),
        ("http://unix:/run/a.sock:/c", Url(Origin(UnixBind("/run/a.sock"), False), "/c", "localhost")),
    ],
)
def test_a_url_is_taken_apart(text: str, expected: Url) -> None:
    assert parse_url(text, "key") == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "app", "ftp://app/", "http://", "http:///c", "http://user:pw@app/", "http://app:0/",
        "http://app:65536/", "http://app:0655350/", "http://app:x/", "http://app/a b", "http://app/\r\nX: y", "http://app/#f",
        "http://[::1/", "http://[app]/",
        "http://[::1]8/", "https://unix:/a:/b", "http://unix:a:/b", "http://unix:/a", "http://a_b\n/", "http://ä/",
        "http://app:-1/", "http://app:99999999999/",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url(text, "proxy.url")
    assert "proxy.url" in caught.value.message
    assert not text or text not in caught.value.message


@given(st.text(max_size=40))
def test_any_text_is_a_url_or_an_error(text: str) -> None:
    for candidate in (text, "http://" + text, "http://app" + text):
        try:
            url = parse_url(candidate, "key")
        except ConfigError:
            continue
        assert url.target.isascii()
        assert not set(url.target + url.host) & set("\r\n \0")


def test_its_text_hides_the_query() -> None:
    assert str(parse_url("https://app/c?key=secret", "key")) == "https://app:443/c"
