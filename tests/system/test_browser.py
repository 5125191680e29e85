"""The page in Debian's Chromium: against the daemon, and against a server the test scripts itself.

`SCREENSHOT=1 pytest tests/system/test_browser.py -k screenshot` writes docs/images/chat.png.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.system.browser import (
    CHROMIUM_ARGS,
    CUT,
    PAGE,
    PATIENCE_MS,
    Daemon,
    Script,
    Tab,
    chromium_path,
    publication,
    side_by_side,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

    OpenTab = Callable[..., Tab]

pytestmark = [pytest.mark.system, pytest.mark.browser]

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "chat.png"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium_path()
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield launched
        launched.close()


@pytest.fixture
def new_tab(browser: Browser) -> Iterator[OpenTab]:
    """Make tabs; at the end no page may have written a line to its console."""
    tabs: list[Tab] = []

    def make(**options: Any) -> Tab:
        tabs.append(Tab(browser.new_context(**{"color_scheme": "light", **options})))
        return tabs[-1]

    yield make
    complaints = [tab.complaints for tab in tabs]
    for tab in tabs:
        tab.context.close()
    assert complaints == [[] for _ in tabs]


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    running = Daemon()
    running.start()
    yield running
    running.kill()


# -- the file ------------------------------------------------------------------------------------


def test_the_page_is_one_file_that_loads_nothing_from_elsewhere() -> None:
    html = PAGE.read_text(encoding="utf-8")
    assert html.count("<script>") == html.count("<script") == 1
    assert html.count("<style>") == html.count("<style") == 1
    assert set(re.findall(r"https?://[^\s'\"`]+", html)) <= {"http://www.w3.org/2000/svg"}
    assert re.findall(r"\s(?:on\w+|style)=", html.split("<script>")[0]) == []
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", html) == []


# -- with the daemon -----------------------------------------------------------------------------


def test_two_pages_chat_and_survive_a_killed_daemon(daemon: Daemon, new_tab: OpenTab) -> None:
    ada = new_tab().open(daemon.url, "Ada")
    ada.has_people(1)
    grace = new_tab().open(daemon.url, "Grace")
    ada.has_people(2)
    grace.has_people(2)
    expect(ada.page.locator("#people")).to_contain_text("Grace")

    ada.say("first")
    grace.has_messages("first")
    grace.say("second")
    ada.has_messages("first", "second")

    daemon.kill()
    ada.is_reconnecting()
    grace.is_reconnecting()
    expect(ada.page.locator("#state")).to_have_text(re.compile(r"^reconnecting in \d+ s$"))
    expect(ada.page.locator("#retry")).to_be_visible()

    daemon.start()
    for tab in (ada, grace):
        tab.is_connected()
        tab.has_notice("history was lost, reloaded")
        tab.has_people(2)
        expect(tab.page.locator("#retry")).to_be_hidden()
        expect(tab.page.locator(".message.old")).to_have_count(2)
    grace.say("third")
    ada.has_messages("first", "second", "third")

    grace.context.close()
    ada.has_people(1)


def test_a_cut_connection_recovers_each_missed_message_once(daemon: Daemon, new_tab: OpenTab) -> None:
    ada = new_tab().open(daemon.url, "Ada")
    grace = new_tab().open(daemon.url, "Grace")
    ada.say("before")
    grace.has_messages("before")

    grace.context.set_offline(True)
    grace.page.evaluate(CUT)
    grace.is_reconnecting()
    ada.has_people(1)
    ada.say("one", "two", "three")
    ada.has_messages("before", "one", "two", "three")
    grace.has_messages("before")

    grace.context.set_offline(False)
    grace.is_connected()
    grace.has_notice("recovered 3 messages")
    grace.has_messages("before", "one", "two", "three")
    ada.has_people(2)
    ada.say("after")
    grace.has_messages("before", "one", "two", "three", "after")


def test_what_is_written_while_away_is_sent_once_and_in_order(daemon: Daemon, new_tab: OpenTab) -> None:
    ada = new_tab().open(daemon.url, "Ada")
    grace = new_tab().open(daemon.url, "Grace")
    grace.context.set_offline(True)
    grace.page.evaluate(CUT)
    grace.is_reconnecting()
    grace.say("mine one", "mine two")
    expect(grace.page.locator(".message.pending")).to_have_count(2)
    ada.say("hers")
    ada.has_messages("hers")
    grace.context.set_offline(False)
    grace.has_notice("recovered 1 message")
    for tab in (ada, grace):
        tab.has_messages("hers", "mine one", "mine two")
        expect(tab.page.locator(".message .mark")).to_have_text(["1", "2", "3"])


def test_the_history_and_the_name_are_there_after_a_reload(daemon: Daemon, new_tab: OpenTab) -> None:
    ada = new_tab().open(daemon.url, "Ada")
    ada.say("kept", "too")
    ada.has_messages("kept", "too")
    ada.page.reload()
    ada.is_connected()
    ada.has_messages("kept", "too")
    expect(ada.page.locator("#name")).to_have_value("Ada")
    expect(ada.page.locator(".message.mine")).to_have_count(2)
    expect(ada.page.locator(".notice")).to_have_count(0)


def test_rooms_are_apart_and_any_word_names_one(daemon: Daemon, new_tab: OpenTab) -> None:
    lobby = new_tab().open(daemon.url)
    kitchen = new_tab().open(daemon.url + "#küche $,:#*")
    expect(kitchen.page.locator("#room")).to_have_text("#küche $,:#*")
    kitchen.say("soup")
    kitchen.has_messages("soup")
    lobby.has_people(1)
    lobby.has_messages()
    lobby.page.goto(daemon.url + "#küche $,:#*")
    lobby.is_connected()
    lobby.has_messages("soup")
    lobby.has_people(2)


def test_markup_of_others_stays_text(daemon: Daemon, new_tab: OpenTab) -> None:
    evil = "<img src=x onerror=alert(1)><b>"
    mallory = new_tab().open(daemon.url, evil)
    ada = new_tab().open(daemon.url)
    mallory.say(evil)
    ada.has_messages(evil)
    expect(ada.page.locator(".message .who")).to_have_text([evil])
    expect(ada.page.locator("#people")).to_contain_text(evil)
    expect(ada.page.locator("img, #log b")).to_have_count(0)


def test_everything_works_with_the_keyboard_alone(daemon: Daemon, new_tab: OpenTab) -> None:
    grace = new_tab().open(daemon.url)
    ada = new_tab().open(daemon.url)
    keys = ada.page.keyboard
    focused = ada.page.locator(":focus")
    expect(focused).to_have_id("text")
    keys.type("a line")
    keys.press("Shift+Enter")
    keys.type("and another")
    keys.press("Enter")
    grace.has_messages("a line\nand another")

    keys.press("Shift+Tab")
    expect(focused).to_have_id("name")
    keys.type("Ada")  # a field reached by Tab has its content selected
    keys.press("Enter")
    expect(focused).to_have_id("text")
    expect(grace.page.locator("#people")).to_contain_text("Ada")

    for stop in ("name", "", "second", "log", "theme", "skip"):  # "" is the link to the kitchen
        keys.press("Shift+Tab")
        expect(focused).to_have_attribute("id", stop) if stop else expect(focused).to_have_text("#kitchen")
        expect(focused).to_have_css("outline-style", "solid")
    keys.press("Enter")
    expect(focused).to_have_id("text")
    assert ada.page.url == daemon.url


def test_dark_and_light_follow_the_system_until_chosen(daemon: Daemon, new_tab: OpenTab) -> None:
    tab = new_tab(color_scheme="dark").open(daemon.url)
    body = tab.page.locator("body")
    dark, light = "rgb(20, 23, 26)", "rgb(251, 250, 247)"
    expect(body).to_have_css("background-color", dark)
    tab.page.emulate_media(color_scheme="light")
    expect(body).to_have_css("background-color", light)
    tab.page.click("#theme")
    expect(body).to_have_css("background-color", dark)
    tab.page.reload()
    expect(body).to_have_css("background-color", dark)
    tab.page.click("#theme")
    expect(body).to_have_css("background-color", light)


def test_a_phone_shows_it_all_without_scrolling_sideways(daemon: Daemon, new_tab: OpenTab) -> None:
    tab = new_tab(viewport={"width": 360, "height": 640}, has_touch=True).open(daemon.url, "W" * 40)
    tab.say("long" * 200)
    expect(tab.page.locator(".message")).to_have_count(1)
    assert tab.page.evaluate("document.documentElement.scrollWidth") == 360
    assert tab.page.evaluate("document.documentElement.scrollHeight") == 640
    for selector in ("#state", "#people li", "#text", "button[type=submit]"):
        expect(tab.page.locator(selector)).to_be_in_viewport(ratio=1)


@pytest.mark.skipif(not os.environ.get("SCREENSHOT"), reason="writes a file: SCREENSHOT=1")
def test_screenshot_for_the_readme(daemon: Daemon, browser: Browser, new_tab: OpenTab) -> None:
    width, height = 600, 740
    size = {"viewport": {"width": width, "height": height}, "device_scale_factor": 1.5}
    ada = new_tab(**size).open(daemon.url, "Ada")
    grace = new_tab(**size, color_scheme="dark").open(daemon.url, "Grace")
    ada.say("Can you see me in the other tab?")
    grace.has_messages("Can you see me in the other tab?")
    grace.say("Yes. Pulling my network cable now.")
    ada.has_messages("Can you see me in the other tab?", "Yes. Pulling my network cable now.")
    grace.context.set_offline(True)
    grace.page.evaluate(CUT)
    ada.has_people(1)
    ada.say("Then you missed this,", "and this,", "and this.")
    expect(ada.page.locator(".message:not(.pending)")).to_have_count(5)
    grace.context.set_offline(False)
    grace.has_notice("recovered 3 messages")
    ada.has_people(2)
    side_by_side(browser, [ada.page.screenshot(), grace.page.screenshot()], width, height, PICTURE)


# -- with a scripted server ----------------------------------------------------------------------


def test_a_ping_is_answered(new_tab: OpenTab) -> None:
    tab = new_tab()
    script = Script(tab.page)
    tab.open(script.url)
    script.sockets[-1].send("{}")
    script.push({"pub": publication(1)})
    tab.has_messages("message 1")
    assert {} in script.received


def test_missing_pings_end_the_connection(new_tab: OpenTab) -> None:
    tab = new_tab()
    script = Script(tab.page)
    tab.stop_clock()
    tab.open(script.url)
    tab.page.clock.run_for(34_000)
    script.sockets[-1].send("{}")
    script.push({"pub": publication(1)})
    tab.has_messages("message 1")
    tab.page.clock.run_for(34_900)
    tab.is_connected()
    assert len(script.sockets) == 1
    tab.page.clock.run_for(200)
    tab.is_reconnecting()
    expect(tab.page.locator("#reason")).to_contain_text("no ping")


def test_the_retry_button_does_not_wait_for_the_backoff(new_tab: OpenTab) -> None:
    tab = new_tab()
    script = Script(tab.page)
    tab.stop_clock()
    tab.open(script.url)
    script.sockets[-1].close(code=3001, reason="shutdown")
    tab.is_reconnecting()
    expect(tab.page.locator("#reason")).to_contain_text("shutdown")
    tab.page.click("#retry")
    tab.is_connected()
    expect(tab.page.locator(":focus")).to_have_id("text")


@pytest.mark.parametrize("code", [1009, 3500, 3501, 3999, 4500])
def test_a_terminal_code_is_shown_and_not_tried_again(new_tab: OpenTab, code: int) -> None:
    tab = new_tab()
    script = Script(tab.page)
    tab.stop_clock()
    tab.open(script.url)
    script.sockets[-1].close(code=code, reason="go away")
    expect(tab.page.locator("#state")).to_have_text("ended")
    expect(tab.page.locator("#reason")).to_have_text(f"The server ended the connection: go away ({code}).")
    tab.page.clock.run_for(60_000)
    assert len(script.sockets) == 1


@pytest.mark.parametrize("error", [{"code": 102, "message": "unknown channel"}])
def test_a_refused_subscription_is_shown_and_not_tried_again(new_tab: OpenTab, error: dict[str, Any]) -> None:
    tab = new_tab()
    script = Script(tab.page)
    script.answers["subscribe"] = lambda _command: {"error": error}
    tab.page.goto(script.url)
    expect(tab.page.locator("#reason")).to_have_text("The server refused: unknown channel (102).")


def test_a_lost_position_is_subscribed_again_with_recovery(new_tab: OpenTab) -> None:
    tab = new_tab()
    script = Script(tab.page)
    tab.open(script.url)
    script.push({"pub": publication(1)})
    tab.has_messages("message 1")
    script.subscribed |= {
        "recovered": True,
        "was_recovering": True,
        "offset": 1,
        "publications": [publication(2)],
    }
    # The publication behind the push belongs to no subscription any more: recovery brings it.
    script.push({"unsubscribe": {"code": 2500, "reason": "insufficient state"}}, {"pub": publication(2)})
    tab.has_notice("recovered 1 message")
    tab.has_messages("message 1", "message 2")
    again = script.commands("subscribe")[-1]
    assert (again["recover"], again["epoch"], again["offset"]) == (True, "abcd", 1)
    assert len(script.sockets) == 1


def test_a_gap_is_never_shown_as_complete(new_tab: OpenTab) -> None:
    tab = new_tab()
    script = Script(tab.page)
    tab.open(script.url)
    script.push({"pub": publication(1)}, {"pub": publication(1)})
    tab.has_messages("message 1")
    missed = [publication(2), publication(3)]
    script.subscribed |= {"recovered": True, "was_recovering": True, "offset": 1, "publications": missed}
    script.push({"pub": publication(3)})
    tab.has_notice("recovered 2 messages")
    tab.has_messages("message 1", "message 2", "message 3")
    assert len(script.sockets) == 2


def test_too_much_missed_in_the_same_epoch_repeats_nothing(new_tab: OpenTab) -> None:
    tab = new_tab()
    script = Script(tab.page)
    script.history = [publication(1)]
    tab.open(script.url)
    tab.has_messages("message 1")
    script.history = [publication(offset) for offset in range(1, 5)]
    script.subscribed |= {"recovered": False, "was_recovering": True, "offset": 4}
    script.sockets[-1].close(code=3000, reason="")
    tab.has_notice("history was lost, reloaded")
    tab.has_messages(*(f"message {offset}" for offset in range(1, 5)))
    expect(tab.page.locator(".message.old")).to_have_count(0)


def test_a_refused_message_says_why_and_can_be_sent_again(new_tab: OpenTab) -> None:
    tab = new_tab()
    script = Script(tab.page)
    script.answers["publish"] = lambda _command: {"error": {"code": 103, "message": "permission denied"}}
    tab.open(script.url)
    tab.say("hello")
    expect(tab.page.locator(".failed .mark")).to_have_text("not sent: permission denied")
    del script.answers["publish"]
    tab.page.click("text=Send again")
    expect(tab.page.locator(".message .mark")).to_have_text("sent")
    data = script.commands("publish")[-1]["data"]
    script.push({"pub": {**publication(1), "data": data}})
    expect(tab.page.locator(".message .mark")).to_have_text("1")
    tab.has_messages("hello")


def test_a_message_whose_reply_was_lost_is_not_sent_twice(new_tab: OpenTab) -> None:
    tab = new_tab()
    script = Script(tab.page)
    script.answers["publish"] = lambda _command: None
    tab.open(script.url)
    tab.say("arrived", "did not arrive")
    expect(tab.page.locator(".message.pending")).to_have_count(2)
    arrived, unheard = (command["data"] for command in script.commands("publish"))
    del script.answers["publish"]
    missed = [{**publication(1), "data": arrived}]
    script.subscribed |= {"recovered": True, "was_recovering": True, "publications": missed}
    script.sockets[-1].close(code=3000, reason="")
    tab.has_notice("recovered 1 message")
    expect(tab.page.locator(".message .mark")).to_have_text(["1", "sent"])
    assert [command["data"] for command in script.commands("publish")] == [arrived, unheard, unheard]


def test_a_new_subscription_does_not_repeat_what_is_under_way(new_tab: OpenTab) -> None:
    tab = new_tab()
    script = Script(tab.page)
    script.answers["publish"] = lambda _command: None
    tab.stop_clock()
    tab.open(script.url)
    tab.say("once")
    expect(tab.page.locator(".message .mark")).to_have_text("sending")
    script.subscribed |= {"recovered": True, "was_recovering": True, "publications": [publication(1)]}
    script.push({"unsubscribe": {"code": 2500, "reason": "insufficient state"}})
    tab.has_notice("recovered 1 message")
    assert len(script.commands("publish")) == len(script.sockets) == 1


def test_publications_of_other_programs_are_shown_as_they_are(new_tab: OpenTab) -> None:
    tab = new_tab()
    script = Script(tab.page)
    tab.open(script.url)
    script.push(
        {"pub": {"data": 7, "offset": 1}},
        {"pub": {"data": None, "offset": 2}},
        {"pub": {"data": {"text": 1, "name": [], "id": {"toString": 1}}, "offset": 3}},
        {"pub": {"data": "x", "offset": 4, "info": {"client": "0123456789", "conn_info": {"name": {}}}}},
    )
    tab.has_messages("7", "null", '{"text":1,"name":[],"id":{"toString":1}}', '"x"')
    expect(tab.page.locator(".who")).to_have_text([*["server"] * 3, "01234567"])


def test_the_backoff_is_spread_between_half_a_second_and_twenty(new_tab: OpenTab) -> None:
    tab = new_tab()
    script = Script(tab.page)
    tab.open(script.url)
    for attempt, ceiling in ((0, 1_000), (1, 2_000), (4, 16_000), (5, 20_000), (5_000, 20_000)):
        delays = tab.page.evaluate(f"Array.from({{ length: 500 }}, () => retryDelay({attempt}))")
        assert 500 <= min(delays) < 500 + (ceiling - 500) / 10
        assert ceiling - (ceiling - 500) / 10 < max(delays) <= ceiling
