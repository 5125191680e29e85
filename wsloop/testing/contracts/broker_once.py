"""What every Broker must do with keys and versions: a publication that is sent again is appended once."""

from __future__ import annotations

from wsloop.hub.broker import Appended, Draft
from wsloop.testing.contracts.broker_harness import KEEP_3, KEEP_NONE, BrokerHarness

KEY_WINDOW_S = 300.0
"""How long a broker must remember a key; it may a little longer."""


class PublishOnceContract(BrokerHarness):
    """The part of `BrokerContract` that promise P2 is made of."""

    def test_one_key_is_appended_once(self) -> None:
        """Promise P2: the same position, `duplicate`, no event, nothing appended."""
        self.broker.subscribe("c")
        first = self.append(Draft(b"1", key="k"))
        self.publish(b"2")
        again = self.append(Draft(b"other", key="k"))
        assert not first.duplicate
        assert again == Appended(first.offset, first.epoch, duplicate=True)
        assert self.offsets() == [1, 2]
        assert [publication.data for _, publication, _ in self.log.of("pub")] == [b"1", b"2"]

    def test_one_key_asked_for_in_one_breath_is_appended_once(self) -> None:
        """A retry may overtake the answer to the first attempt."""
        for _ in range(3):
            self.broker.publish("c", Draft(b"1", key="k"), KEEP_3, self.log.done)
        self.settle()
        answers = [answer for (answer,) in self.log.of("done")]
        assert [(answer.offset, answer.duplicate) for answer in answers] == [(1, False), (1, True), (1, True)]

    def test_keys_are_of_one_channel(self) -> None:
        """The same key elsewhere is another publication; other keys are, too."""
        answers = [
            self.append(Draft(b"1", key="k")),
            self.append(Draft(b"1", key="k"), channel="other"),
            self.append(Draft(b"1", key="l")),
            self.append(Draft(b"1")),
            self.append(Draft(b"1")),
        ]
        assert not any(answer.duplicate for answer in answers)
        assert [answer.offset for answer in answers] == [1, 1, 2, 3, 4]

    def test_a_key_counts_without_history_too(self) -> None:
        """There is no position to return, but nobody hears the publication twice."""
        self.broker.subscribe("c")
        answers = [self.append(Draft(b"1", key="k"), KEEP_NONE) for _ in range(2)]
        assert answers == [Appended(0, ""), Appended(0, "", duplicate=True)]
        assert len(self.log.of("pub")) == 1

    def test_a_key_outlives_its_publication(self) -> None:
        """And the stream's epoch: the retry must not be heard as something new."""
        first = self.append(Draft(b"1", key="k"))
        for _ in range(5):
            self.publish(b"0")
        self.broker.remove_history("c", self.log.done)
        self.settle()
        assert self.append(Draft(b"1", key="k")) == Appended(first.offset, first.epoch, duplicate=True)

    def test_a_key_is_forgotten_after_its_window(self) -> None:
        """Five minutes from the first attempt; retries do not prolong it."""
        self.append(Draft(b"1", key="k"), KEEP_NONE)
        self.clock.advance(KEY_WINDOW_S - 1)
        assert self.append(Draft(b"1", key="k"), KEEP_NONE).duplicate
        self.clock.advance(2)
        assert not self.append(Draft(b"1", key="k"), KEEP_NONE).duplicate
        assert self.append(Draft(b"1", key="k"), KEEP_NONE).duplicate

    def test_an_outdated_version_is_a_duplicate_at_the_top(self) -> None:
        """Neither appended nor handed out, unless the version epoch is another one."""
        self.broker.subscribe("c")
        drafts = [
            Draft(b"a", version=2, version_epoch="x"),
            Draft(b"b", version=2, version_epoch="x"),
            Draft(b"c", version=1),
            Draft(b"d"),
            Draft(b"e", version=1, version_epoch="y"),
            Draft(b"f", version=2, version_epoch="y"),
        ]
        answers = [self.append(draft) for draft in drafts]
        assert [(answer.offset, answer.duplicate) for answer in answers] == [
            (1, False), (1, True), (1, True), (2, False), (3, False), (4, False),
        ]  # fmt: skip
        assert [publication.data for _, publication, _ in self.log.of("pub")] == [b"a", b"d", b"e", b"f"]
