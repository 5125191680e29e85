"""Who hunts: the simulator in its shapes, and properties by name.

A hunter is a command to run in the tree with the bug. It finds the bug if it ends with 1 and says why, and is
silent where there is none.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED = 8
"""Of every hunt: the same bug is found after the same number of steps."""

TIMEOUT_S = 600.0
"""For one hunter; what has not ended by then has found nothing."""

SIMULATED_STEPS = 200_000
"""How long the simulator looks for a bug: sixteen histories, or ten seconds."""

MESSAGING_STEPS, CLUSTER_STEPS = 6000, 1500
"""The same for the state machines of tests/simulation, of which a step is a whole scene."""


class HuntError(Exception):
    """A hunter could not hunt at all."""


@dataclass(frozen=True, slots=True)
class Catch:
    """What a hunter came back with: how many `unit` it has looked at, and what it found, "" if nothing."""

    count: int
    unit: str
    found: str
    seconds: float


class Hunter(Protocol):
    """Looks for one bug in a tree."""

    def hunt(self, root: Path) -> Catch:
        """Look for it. Raises HuntError."""
        ...


@dataclass(frozen=True, slots=True)
class Simulator:
    """The simulator, in one of its shapes, for so many steps."""

    shape: str
    steps: int = SIMULATED_STEPS

    def hunt(self, root: Path) -> Catch:
        """See `Hunter.hunt`."""
        began_s = time.monotonic()
        ended = _run(["-m", "tools.teeth.simulated", self.shape, str(SEED), str(self.steps)], root)
        if ended.returncode:
            raise HuntError(f"the simulator ended with {ended.returncode}:\n{ended.stderr}")
        told = json.loads(ended.stdout.strip().rpartition("\n")[2])
        return Catch(told["steps"], "steps", told["violation"], time.monotonic() - began_s)


@dataclass(frozen=True, slots=True)
class Property:
    """Tests of the repository, run by pytest, each with its own number of examples, or as many `steps`."""

    test: str
    steps: int = 0

    def hunt(self, root: Path) -> Catch:
        """See `Hunter.hunt`."""
        began_s = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            report = Path(scratch) / "report.json"
            command = ["-m", "pytest", "-q", "-x", "-p", "tools.teeth.counting", "-p", "no:cacheprovider"]
            variables = {"TEETH_REPORT": str(report)} | ({"STEPS": str(self.steps)} if self.steps else {})
            ended = _run([*command, f"--hypothesis-seed={SEED}", self.test], root, **variables)
            if ended.returncode not in (0, 1) or not report.exists():
                raise HuntError(
                    f"pytest {self.test} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
                )
            told = json.loads(report.read_text(encoding="utf-8"))
        unit = "steps" if told["steps"] else "examples"
        return Catch(told[unit], unit, told["failure"], time.monotonic() - began_s)


HUNTERS: dict[str, Hunter] = {
    "simulator one": Simulator("one"),
    "simulator cluster": Simulator("cluster"),
    "messaging machine": Property(
        "tests/simulation/test_messaging_machine.py::test_the_promises_hold", MESSAGING_STEPS
    ),
    "cluster machine": Property(
        "tests/simulation/test_cluster_machine.py::test_the_promises_hold_over_several_processes",
        CLUSTER_STEPS,
    ),
    "kernel pollers": Property("tests/loop/test_poller_properties.py"),
    "turn": Property("tests/loop/test_reactor_properties.py"),
    "wheel": Property("tests/loop/test_wheel.py::TestWheelAgainstASortedList"),
    "wheel alone": Property(
        "tests/loop/test_wheel.py::test_following_next_deadline_alone_fires_each_timer_within_a_tick"
    ),
    "ring": Property("tests/buffers/test_ring.py::TestRingModel"),
    "outbox": Property("tests/buffers/test_outbox.py::TestOutboxModel"),
    "partial sends": Property(
        "tests/transport/test_tcp.py::test_any_partial_sends_and_eagain_give_exactly_the_bytes_in_order"
    ),
    "shortages": Property("tests/transport/test_listener_properties.py"),
    "any cut": Property("tests/protocol/test_session_properties.py"),
    "deflated cuts": Property("tests/protocol/test_session_deflate.py"),
    "oracle": Property(
        "tests/testing/test_oracle.py::test_ours_and_wsproto_read_any_stream_as_the_oracle_does"
    ),
    "long frames": Property("tests/protocol/test_large.py"),
    "inflater": Property("tests/protocol/test_deflate_inflate.py"),
    "heartbeat": Property("tests/protocol/test_heartbeat.py"),
    "history": Property("tests/hub/test_history.py"),
    "channel": Property("tests/hub/test_channels.py"),
    "keys": Property("tests/hub/test_idempotency.py"),
    "leases": Property("tests/hub/test_expiry.py"),
    "hub promises": Property("tests/hub/test_promises.py::TestPromises"),
    "tailoring": Property("tests/hub/test_tailoring.py::test_each_subscriber_hears_what_the_model_says"),
    "mailbox": Property("tests/server/test_mailbox.py::TestMailboxMachine"),
    "fan-out": Property(
        "tests/server/test_fan_out.py::test_each_receiver_gets_what_named_it_once_and_in_order"
    ),
    "slow readers": Property(
        "tests/server/test_slowness.py::"
        "test_a_reader_that_comes_and_goes_sees_all_or_a_flag_and_the_others_see_all"
    ),
    "commands": Property(
        "tests/testing/strategies/test_strategies.py::"
        "test_every_command_is_answered_once_or_the_connection_is_closed"
    ),
    "echo": Property(
        "tests/testing/strategies/test_strategies.py::test_a_server_echoes_over_any_network_at_any_pace"
    ),
    "our own client": Property(
        "tests/client/test_messaging.py::test_whatever_the_network_does_every_message_comes_once_and_in_order"
    ),
    "following": Property(
        "tests/hub/test_following.py::"
        "test_whatever_comes_after_what_everybody_in_a_channel_gets_every_publication"
    ),
    "ping floods": Property("tests/server/test_ping_floods.py"),
    "who is there": Property("tests/cluster/test_presence_properties.py"),
    "expiring clients": Property("tests/hub/test_lease_properties.py"),
    "rings": Property("tests/server/test_rings.py"),
    "wall clock": Property("tests/server/test_wall_clock.py"),
    "closings": Property("tests/server/test_closings.py"),
    "conversations": Property("tests/server/test_conversations.py"),
    "link": Property("tests/cluster/test_link.py::test_everything_comes_in_order_over_any_network"),
}
"""By name, as the patches' headers give it."""


def _run(arguments: Sequence[str], root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a tree, which is where it imports from. Raises HuntError if that takes too long."""
    environment = os.environ | variables
    environment |= {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HuntError(f"{' '.join(arguments)} has not ended after {TIMEOUT_S:g} s") from error
