"""Who wants to hear of what: compared with sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsloop.cluster.interests import Registry
from wsloop.hub.patterns import Patterns

NAMES = st.sampled_from(["a.b", "a.c", "b.b", "c"])
PATTERNS = st.sampled_from(["a.*", "*.b", "b.*", "*.*"])
CONSUMERS = st.sampled_from(["one", "two", "three"])
STEPS = st.lists(st.tuples(st.booleans(), st.one_of(NAMES, PATTERNS), CONSUMERS), max_size=40)


def matches(pattern: str, name: str) -> bool:
    patterns: Patterns[bool] = Patterns()
    patterns.add(pattern, True)
    return bool(patterns.match(name))


@given(STEPS)
def test_first_last_and_who_hears(steps: list[tuple[bool, str, str]]) -> None:
    registry: Registry[str] = Registry()
    model: dict[str, set[str]] = {}
    for begins, name, consumer in steps:
        had = set(model.get(name, ()))
        after = had | {consumer} if begins else had - {consumer}
        is_pattern = "*" in name
        if begins:
            changed = (registry.add_pattern if is_pattern else registry.add)(name, consumer)
            assert changed is (not had)
        else:
            changed = (registry.remove_pattern if is_pattern else registry.remove)(name, consumer)
            assert changed is (bool(had) and not after)
        model[name] = after
        for channel in ("a.b", "a.c", "b.b", "c"):
            assert set(registry.of(channel)) == model.get(channel, set())
            wanted = [
                each
                for key, consumers in model.items()
                if key == channel or ("*" in key and matches(key, channel))
                for each in consumers
            ]
            heard = registry.of_publication(channel)
            assert len(heard) == len(set(heard))
            assert set(heard) == set(wanted)
