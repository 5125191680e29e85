from __future__ import annotations

from wsloop.testing.simulator.choices import Choices


def test_a_stream_depends_on_the_seed_and_its_name_alone() -> None:
    one, other = Choices(7), Choices("7")
    other.stream("something else").random()
    assert one.stream("a").random() == other.stream("a").random()
    assert one.stream("a") is one.stream("a")
    assert one.stream("b").random() != Choices(8).stream("b").random()


def test_a_stream_is_the_same_on_every_machine() -> None:
    assert Choices(1).stream("network").randrange(1000) == 179
