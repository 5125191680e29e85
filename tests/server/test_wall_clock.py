"""Somebody sets the machine's clock, forwards and back: keys are remembered for five minutes all the same."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions
from wsloop.server.assembly import Options
from wsloop.testing.server import MemoryServer

OPTIONS = Options(
    namespaces={
        "": Namespace(
            history_size=1000,
            history_ttl_s=3600.0,
            allow_publish_for_client=True,
            allow_publish_for_anonymous=True,
        )
    },
    hub=HubOptions(allow_anonymous=True),
)

WINDOW_S = 300.0
SLACK_S = 2.0
"""What an answer takes, and the second in which the server looks after what has ended."""

ACTS = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 3)),
    st.tuples(st.just("publish"), st.integers(1, 3)),
    st.tuples(st.just("set"), st.sampled_from([-7200, -60, 60, 3600])),
    st.tuples(st.just("wait"), st.sampled_from([1, 20, 200, 310])),
)


@settings(max_examples=60)
@given(st.lists(ACTS, max_size=12))
def test_no_key_is_forgotten_early_or_kept_when_the_clock_is_set(acts: list[tuple[str, int]]) -> None:
    with MemoryServer(options=OPTIONS) as house:
        client = house.join()
        placed: dict[int, tuple[int, float]] = {}
        for verb, number in acts:
            now_s = house.clock.now()
            if verb == "set":
                house.clock.set_wall_clock(float(number))
            elif verb == "wait":
                house.run_for(float(number))
            else:
                reply: Any = house.ask(client, publish={"channel": "c", "data": "x", "idem": f"{number}"})
                offset, since_s = placed.get(number, (0, -WINDOW_S * 2))
                if now_s < since_s + WINDOW_S - SLACK_S:
                    assert reply["publish"]["offset"] == offset, "it was appended twice"
                elif now_s > since_s + WINDOW_S + SLACK_S:
                    assert reply["publish"]["offset"] > offset, "it was never appended"
                    placed[number] = (reply["publish"]["offset"], now_s)
                else:
                    placed[number] = (reply["publish"]["offset"], now_s)
