"""The whole test suite of centrifuge-python, the official Python SDK, passes against wsloop in JSON mode.

It is fetched, not kept here, and runs as it is, in `sdk_suite_runner.py`. Its other half, the same
tests over Protobuf, is what wsloop does not speak: listed below by name, and counted.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.system.daemon import Daemon
from tests.system.fetched import SDIST, centrifuge_python

pytestmark = pytest.mark.system

HERE = Path(__file__).parent
CONFIG = HERE / "centrifuge-sdk.toml"
PORT = 8000
"""The one that the suite knows. The admin listener has any: the default may be a daemon's of another test."""

SUITE_S = 400.0
"""It takes 35 s, most of them waiting for timers of the SDK."""

PASSED = 185
PASSED_OVER_SOCKETS = 31
"""Of this release: how many of its tests pass, and how many of these connect to the server. The others are
about the SDK alone, or talk to a server of their own making."""

NOT_SUPPORTED = [
    "TestAutoRecovery.test_auto_recovery (use_protobuf=True, delta=<DeltaType.FOSSIL: 'fossil'>)",
    "TestAutoRecovery.test_auto_recovery (use_protobuf=True, delta=None)",
    "TestClient.test_client_connects_disconnects (use_protobuf=True)",
    "TestClientLevelOperations.test_client_publish_history_presence (use_protobuf=True)",
    "TestClientTokenInvalid.test_client_token (use_protobuf=True)",
    "TestClientTokenUnauthorized.test_unauthorized_token (use_protobuf=True)",
    "TestConnectDisconnectLoop.test_connect_disconnect_loop (use_protobuf=True)",
    "TestConnectedContext.test_connected_context_has_client_and_version (use_protobuf=True)",
    "TestConnectingDisconnectedCallbacks.test_connecting_and_disconnected_callbacks (use_protobuf=True)",
    "TestGetState.test_get_state_called_on_initial_subscribe (use_protobuf=True)",
    "TestHistoryPagination.test_history_since_and_reverse (use_protobuf=True)",
    "TestJoinLeave.test_join_leave (use_protobuf=True)",
    "TestMultipleSubscriptions.test_multiple_subscriptions (use_protobuf=True)",
    "TestPresenceTwoClients.test_presence_two_clients (use_protobuf=True)",
    "TestPubSub.test_pub_sub (use_protobuf=True, delta=<DeltaType.FOSSIL: 'fossil'>)",
    "TestPubSub.test_pub_sub (use_protobuf=True, delta=None)",
    "TestRecoveryAfterUnsubscribeResubscribe.test_recovery_after_unsub_resub (use_protobuf=True)",
    "TestServerSideSubscriptions.test_server_side_subs (use_protobuf=True)",
    "TestSubscribeUnsubscribeLoop.test_subscribe_unsubscribe_loop (use_protobuf=True)",
    "TestSubscribingSubscribedCallbacks.test_subscribing_and_subscribed_callbacks (use_protobuf=True)",
    "TestSubscription.test_client_subscribe_unsubscribes (use_protobuf=True)",
    "TestSubscriptionOperations.test_subscription_operations (use_protobuf=True)",
    "TestSubscriptionTokenInvalid.test_client_token (use_protobuf=True)",
    "TestSubscriptionTokenUnauthorized.test_unauthorized_subscription_token (use_protobuf=True)",
]
"""The Protobuf half, all of the module tests.test_client: sub-tests whose JSON halves pass."""


@pytest.fixture(scope="module")
def outcomes() -> list[dict[str, Any]]:
    """Run the suite once; return the outcomes of its tests."""
    directory = centrifuge_python()
    _require_free(PORT)
    command = [sys.executable, str(HERE / "sdk_suite_runner.py"), str(directory)]
    with (
        Daemon("-c", str(CONFIG), "--admin-port", "0", dev=False, port=PORT),
        tempfile.TemporaryFile() as errors,
    ):
        done = subprocess.run(
            command, cwd=directory, stdout=subprocess.PIPE, stderr=errors, timeout=SUITE_S, check=False
        )
        printed = os.pread(errors.fileno(), 1 << 24, 0).decode(errors="replace")
    # The suite logs much; what a test that hung was doing stands at the end.
    assert done.returncode == 0, printed[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def _require_free(port: int) -> None:
    try:
        with socket.create_server(("127.0.0.1", port)):
            pass
    except OSError as error:
        reason = f"the suite needs port {port}: {error.strerror}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def of(outcomes: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [outcome for outcome in outcomes if outcome["outcome"] in kinds]


def test_everything_passes_but_the_protobuf_half(
    outcomes: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    passed, refused = of(outcomes, "passed"), of(outcomes, "protobuf")
    over_sockets = sum(bool(outcome["sockets"]) for outcome in passed)
    with capsys.disabled():
        lines = [f"{SDIST}: {len(passed)} tests passed, {over_sockets} of them over sockets to wsloop;"]
        lines.append(f"{len(refused)} not supported, as they speak Protobuf:")
        lines += [f"  {outcome['test']}" for outcome in refused]
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    bad = of(outcomes, "failed", "skipped")
    assert not bad, "\n".join(f"{outcome['test']}: {outcome['detail']}" for outcome in bad)
    assert (len(passed), over_sockets) == (PASSED, PASSED_OVER_SOCKETS)


def test_what_is_not_supported_is_the_protobuf_half_by_name(outcomes: list[dict[str, Any]]) -> None:
    refused = {outcome["test"] for outcome in of(outcomes, "protobuf")}
    assert refused == {f"tests.test_client.{name}" for name in NOT_SUPPORTED}
    passed = {outcome["test"] for outcome in of(outcomes, "passed")}
    assert {name.partition(" ")[0] for name in refused} <= passed
