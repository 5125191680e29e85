"""However subscribers wish their pushes, each hears exactly the publications that a model says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.sdk import Sdk
from tests.hub.support import World
from wsloop.hub import delta as module
from wsloop.hub.broker import Draft
from wsloop.hub.namespaces import Namespace
from wsloop.hub.tags import Filters, parse_tags

OPEN = Namespace(
    history_size=200,
    history_ttl_s=600.0,
    allow_recovery=True,
    allow_positioning=True,
    join_leave=True,
    allowed_delta_types=("fossil",),
    delta_publish=True,
    allow_tags_filter=True,
    allow_wildcard=True,
    allow_channel_compaction=True,
    allow_subscribe_for_client=True,
    allow_subscribe_for_anonymous=True,
    allow_publish_for_client=True,
    allow_publish_for_anonymous=True,
)

FILTERS: list[dict[str, Any] | None] = [
    None,
    {"key": "n", "cmp": "gte", "val": "5"},
    {"op": "not", "nodes": [{"key": "n", "cmp": "gte", "val": "5"}]},
    {"key": "kind", "cmp": "ex"},
]
CHANNELS = ["a.1", "a.2"]
NAMES = [*CHANNELS, "a.*"]


@dataclass(frozen=True)
class Asked:
    """How it wishes its pushes; `wanted` is an index into FILTERS."""

    wanted: int = 0
    is_delta: bool = False
    is_compact: bool = False


WISHES = st.just(Asked(is_delta=True)) | st.builds(
    Asked, st.integers(0, len(FILTERS) - 1), st.booleans(), st.booleans()
)


@dataclass(frozen=True)
class Subscribe:
    """A client asks for a channel or a pattern, as it wishes."""

    who: int
    name: str
    wish: Asked
    is_recovering: bool


@dataclass(frozen=True)
class Unsubscribe:
    """A client leaves."""

    who: int
    name: str


@dataclass(frozen=True)
class Publish:
    """The server publishes some rows, one of which differs from the last time."""

    channel: str
    tags: dict[str, str]
    size: int
    edit: int
    is_plain: bool


STEPS = st.one_of(
    st.builds(
        Subscribe,
        st.integers(0, 2),
        st.just("a.1") | st.sampled_from(NAMES),
        WISHES,
        st.booleans(),
    ),
    st.builds(Unsubscribe, st.integers(0, 2), st.sampled_from(NAMES)),
    st.builds(
        Publish,
        st.just("a.1") | st.sampled_from(CHANNELS),
        st.dictionaries(st.sampled_from(["n", "kind"]), st.sampled_from(["1", "5", "x"])),
        st.just(6) | st.integers(0, 6),
        st.integers(0, 9),
        st.booleans(),
    ),
)


def payload(step: Publish, number: int) -> Any:
    rows = [{"id": index, "name": f"Zoë {index} 日本"} for index in range(step.size)]
    return {"number": number, "edit": step.edit, "rows": rows}


@dataclass
class Published:
    """A publication as the model knows it."""

    channel: str
    offset: int
    data: Any
    tags: dict[str, str]


@dataclass
class Expectation:
    """What one subscription must hear."""

    wanted: int
    heard: list[tuple[str, Any]] = field(default_factory=list)

    def tell(self, name: str, publication: Published) -> None:
        is_meant = name in (publication.channel, "a.*")
        if is_meant and matches(self.wanted, publication.tags):
            self.heard.append((publication.channel, publication.data))


def matches(wanted: int, tags: dict[str, str]) -> bool:
    node = FILTERS[wanted]
    return node is None or Filters().compile(json.dumps(node).encode()).matches(tags)


class Model:
    """The world, its clients, and what each of them must hear."""

    def __init__(self) -> None:
        self.world = World(namespaces={"": OPEN})
        self.sdks = [Sdk(self.world.connect()) for _ in range(3)]
        self.published: list[Published] = []
        self.expected: dict[tuple[int, str], Expectation] = {}

    def run(self, step: Subscribe | Unsubscribe | Publish) -> None:
        if isinstance(step, Publish):
            self.publish(step)
        elif isinstance(step, Unsubscribe):
            if (step.who, step.name) in self.expected:
                self.sdks[step.who].unsubscribe(step.name)
                del self.expected[step.who, step.name]
        elif (step.who, step.name) not in self.expected:
            self.subscribe(step)
        self.check()

    def publish(self, step: Publish) -> None:
        data = payload(step, len(self.published))
        draft = Draft(json.dumps(data).encode(), tags=json.dumps(step.tags).encode(), delta=not step.is_plain)
        rules = self.world.hub.namespaces.rules_of(step.channel)
        offset = 1 + sum(each.channel == step.channel for each in self.published)
        self.world.broker.publish(step.channel, draft, rules.retention, lambda _: None)
        publication = Published(step.channel, offset, data, step.tags)
        self.published.append(publication)
        for (_, name), expectation in self.expected.items():
            expectation.tell(name, publication)

    def subscribe(self, step: Subscribe) -> None:
        sdk, wish = self.sdks[step.who], step.wish
        request: dict[str, Any] = {"recoverable": True, "flag": int(wish.is_compact)}
        known = sdk.followed.get(step.name)
        since = None
        if step.is_recovering and known is not None and known.epoch:
            since = known.offset
            request |= {"recover": True, "offset": since, "epoch": known.epoch}
        if wish.is_delta:
            request["delta"] = "fossil"
        if FILTERS[wish.wanted] is not None:
            request["tf"] = FILTERS[wish.wanted]
        before = list(known.heard) if known is not None else []
        result = sdk.subscribe(step.name, **request)
        assert isinstance(result, dict)
        is_channel = step.name in CHANNELS
        assert result.get("recovered", False) is (since is not None)
        assert result.get("delta", False) is (wish.is_delta and is_channel)
        assert (result.get("id", 0) > 0) is wish.is_compact
        assert ("epoch" in result) is is_channel
        expectation = self.expected[step.who, step.name] = Expectation(wish.wanted, before)
        for each in self.published:
            if since is not None and each.offset > since:
                expectation.tell(step.name, each)

    def check(self) -> None:
        for (who, name), expectation in self.expected.items():
            self.sdks[who].read()
            assert self.sdks[who].followed[name].heard == expectation.heard


@given(st.lists(STEPS, min_size=5, max_size=40))
def test_each_subscriber_hears_what_the_model_says(
    steps: list[Subscribe | Unsubscribe | Publish],
) -> None:
    model = Model()
    for step in steps:
        model.run(step)


def publish(
    world: World, data: bytes, *, channel: str = "a.1", tags: bytes = b"", delta: bool = False
) -> None:
    rules = world.hub.namespaces.rules_of(channel)
    world.broker.publish(channel, Draft(data, tags=tags, delta=delta), rules.retention, lambda _: None)


def rows(name: str) -> bytes:
    return json.dumps([{"id": index, "name": name if index == 10 else "x"} for index in range(30)]).encode()


def test_the_first_publication_is_whole_and_the_next_a_difference() -> None:
    world = World(namespaces={"": OPEN})
    peer = world.connect()
    assert peer.ask("subscribe", channel="a.1", delta="fossil") == {"delta": True}
    publish(world, rows("Ada"))
    publish(world, rows("Grace"))
    first, second = (line["push"]["pub"] for line in peer.take())
    assert first == {"data": rows("Ada").decode(), "offset": 1}
    assert second["delta"] is True
    assert len(second["data"]) < 60


def test_what_is_not_published_as_a_difference_is_whole() -> None:
    choosy = msgspec.structs.replace(OPEN, delta_publish=False)
    world = World(namespaces={"": choosy})
    peer = world.connect()
    peer.ask("subscribe", channel="a.1", delta="fossil")
    publish(world, rows("Ada"))
    publish(world, rows("Grace"))
    publish(world, rows("Emmy"), delta=True)
    assert ["delta" in line["push"]["pub"] for line in peer.take()] == [False, False, True]


def test_an_offer_of_deltas_may_be_left_unused() -> None:
    plain = msgspec.structs.replace(OPEN, allowed_delta_types=(), delta_publish=False)
    world = World(namespaces={"": plain})
    peer = world.connect()
    assert peer.ask("subscribe", channel="a.1", delta="fossil", flag=1) == {"id": 1}
    publish(world, b'{"a":1}')
    assert peer.take() == [{"push": {"id": 1, "pub": {"data": {"a": 1}, "offset": 1}}}]


def test_who_comes_later_is_given_the_whole_and_the_others_the_difference() -> None:
    world = World(namespaces={"": OPEN})
    early, late = world.connect(), world.connect()
    early.ask("subscribe", channel="a.1", delta="fossil")
    publish(world, rows("Ada"))
    late.ask("subscribe", channel="a.1", delta="fossil")
    early.take()
    publish(world, rows("Grace"))
    assert early.subscriber.pushes[-1] is not late.subscriber.pushes[-1]
    assert "delta" in early.take()[0]["push"]["pub"]
    assert late.take()[0]["push"]["pub"] == {"data": rows("Grace").decode(), "offset": 2}
    publish(world, rows("Emmy"))
    assert early.subscriber.pushes[-1] is late.subscriber.pushes[-1]


def test_who_has_recovered_the_same_goes_on_with_differences() -> None:
    world = World(namespaces={"": OPEN})
    early, late = world.connect(), world.connect()
    epoch = early.ask("subscribe", channel="a.1", delta="fossil", recoverable=True)["epoch"]
    publish(world, rows("Ada"))
    publish(world, rows("Grace"))
    result = late.ask(
        "subscribe", channel="a.1", delta="fossil", recoverable=True, recover=True, epoch=epoch, offset=0
    )
    assert ["delta" in each for each in result["publications"]] == [False, True]
    publish(world, rows("Emmy"))
    assert early.subscriber.pushes[-1] is late.subscriber.pushes[-1]
    assert "delta" in late.take()[-1]["push"]["pub"]


def test_a_long_recovery_is_compared_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsloop.hub.tailoring.RECOVERED_DELTA_BYTES", 3 * len(rows("Ada")))
    world = World(namespaces={"": OPEN})
    peer = world.connect()
    epoch = peer.ask("subscribe", channel="a.1", recoverable=True)["epoch"]
    peer.ask("unsubscribe", channel="a.1")
    for name in ("Ada", "Bob", "Cyd", "Dee", "Eve"):
        publish(world, rows(name))
    result = peer.ask("subscribe", channel="a.1", delta="fossil", recoverable=True, recover=True, epoch=epoch)
    assert ["delta" in each for each in result["publications"]] == [False, True, True, False, False]


def test_a_publication_that_is_filtered_out_moves_the_position_on() -> None:
    world = World(namespaces={"": OPEN})
    peer = world.connect()
    wanted = {"key": "n", "cmp": "eq", "val": "1"}
    assert peer.ask("subscribe", channel="a.1", positioned=True, tf=wanted)["positioned"] is True
    for tags in (b'{"n":"1"}', b'{"n":"2"}', b"", b'{"n":"1"}'):
        publish(world, b"0", tags=tags)
    offsets = [line["push"]["pub"]["offset"] for line in peer.take()]
    assert offsets == [1, 4]


def test_a_recovery_of_which_all_is_filtered_out_ends_at_the_top() -> None:
    world = World(namespaces={"": OPEN})
    peer = world.connect()
    epoch = peer.ask("subscribe", channel="a.1", recoverable=True)["epoch"]
    peer.ask("unsubscribe", channel="a.1")
    publish(world, b"0")
    wanted = {"key": "n", "cmp": "eq", "val": "1"}
    result = peer.ask("subscribe", channel="a.1", recoverable=True, recover=True, epoch=epoch, tf=wanted)
    assert (result["recovered"], result["offset"], "publications" in result) == (True, 1, False)


@pytest.mark.parametrize("wanted", [{}, 1, {"key": "n"}, {"key": "n", "cmp": "eq", "val": 1}])
def test_what_is_no_filter_is_error_107(wanted: object) -> None:
    peer = World(namespaces={"": OPEN}).connect()
    assert peer.ask("subscribe", channel="a.1", tf=wanted) == 107


def test_a_filter_that_is_not_allowed_is_error_107() -> None:
    strict = msgspec.structs.replace(OPEN, allow_tags_filter=False)
    peer = World(namespaces={"": strict}).connect()
    assert peer.ask("subscribe", channel="a.1", tf={"key": "n", "cmp": "ex"}) == 107


def test_a_filter_judges_a_publication_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []

    def parse(tags: bytes) -> dict[str, str]:
        parsed.append(tags)
        return parse_tags(tags)

    monkeypatch.setattr("wsloop.hub.parcel.parse_tags", parse)
    world = World(namespaces={"": OPEN})
    for flag in (0, 1, 0, 1):
        peer = world.connect()
        peer.ask("subscribe", channel="a.1", tf={"key": "n", "cmp": "ex"}, flag=flag)
    publish(world, b"0", tags=b'{"n":""}')
    assert parsed == [b'{"n":""}']


def test_joins_and_leaves_carry_the_number_and_the_end_the_name() -> None:
    world = World(namespaces={"": OPEN})
    peer, other = world.connect(), world.connect()
    number = peer.ask("subscribe", channel="a.1", join_leave=True, positioned=True, flag=1)["id"]
    peer.take()
    other.ask("subscribe", channel="a.1")
    other.ask("unsubscribe", channel="a.1")
    assert [line["push"]["id"] for line in peer.take()] == [number, number]
    world.broker.remove_history("a.1", lambda _: None)
    publish(world, b"0")
    (push,) = (line["push"] for line in peer.take())
    assert (push["channel"], push["unsubscribe"]["code"]) == ("a.1", 2500)


def test_all_who_wish_nothing_share_one_object() -> None:
    world = World(namespaces={"": OPEN})
    peers = [world.connect() for _ in range(3)]
    for peer in peers:
        peer.ask("subscribe", channel="a.1")
    for peer in peers[:2]:
        peer.ask("unsubscribe", channel="a.1")
        peer.ask("subscribe", channel="a.1", flag=1)
    publish(world, b"0")
    one, two, three = (peer.subscriber.pushes[-1] for peer in peers)
    assert one is two
    assert one != three


def test_a_subscriber_of_differences_must_not_miss_one() -> None:
    peer = World(namespaces={"": OPEN}).connect()
    peer.ask("subscribe", channel="a.1", delta="fossil")
    peer.ask("subscribe", channel="a.2")
    assert peer.client.must_be_whole("a.1")
    assert not peer.client.must_be_whole("a.2")


def test_what_two_filters_let_through_is_one_object() -> None:
    world = World(namespaces={"": OPEN})
    peers = [world.connect() for _ in range(2)]
    for number, peer in enumerate(peers):
        peer.ask("subscribe", channel="a.1", tf={"key": "n", "cmp": "neq", "val": str(number)})
    publish(world, b"0", tags=b'{"n":"5"}')
    assert peers[0].subscriber.pushes[-1] is peers[1].subscriber.pushes[-1]


def test_without_history_a_filter_holds_back_what_it_does_not_let_through() -> None:
    world = World(namespaces={"": msgspec.structs.replace(OPEN, history_size=0, history_ttl_s=0.0)})
    peer = world.connect()
    peer.ask("subscribe", channel="a.1", tf={"key": "n", "cmp": "eq", "val": "1"})
    for tags in (b'{"n":"1"}', b'{"n":"2"}', b'{"n":"1"}'):
        publish(world, tags[5:8], tags=tags)
    assert [line["push"]["pub"]["data"] for line in peer.take()] == ["1", "1"]


def test_whoever_is_given_the_same_difference_is_given_what_was_made_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[bytes] = []
    quoted = module.json_string

    def counted(text: bytes) -> bytes:
        made.append(text)
        return quoted(text)

    monkeypatch.setattr(module, "json_string", counted)
    world = World(namespaces={"": OPEN})
    peers = [world.connect() for _ in range(2)]
    for flag, peer in enumerate(peers):
        peer.ask("subscribe", channel="a.1", delta="fossil", flag=flag)
    publish(world, rows("Ada"))
    assert made == [rows("Ada")]
    publish(world, rows("Grace"))
    heard = [[line["push"]["pub"]["data"] for line in peer.take()] for peer in peers]
    assert heard[0] == heard[1]
