"""Run the test suite of centrifuge-python as it is, and tell what became of each test.

    python sdk_suite_runner.py DIRECTORY

In a process of its own, since it takes hold of the SDK: a client for Protobuf that is to reach the server
under test is refused with `SkipTest`, so that the other half of a test, or of its sub-tests, still
runs. One line of JSON for each outcome: `test`, `outcome` ("passed", "failed", "protobuf", "skipped"),
`detail`, and `sockets`, how often the test connected to the server under test.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import unittest
from typing import Any

SERVER_PORT = 8000
"""Where the suite looks for its server."""

HANG_S = 60.0
"""No test takes a tenth of it; after this its stack is printed and the process ends."""

PROTOBUF = "no Protobuf"


class Recorder(unittest.TestResult):
    """Prints outcomes as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.sockets = 0
        self._is_bad = False

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's
        super().startTest(test)
        self.sockets, self._is_bad = 0, False
        faulthandler.dump_traceback_later(HANG_S, exit=True)

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().stopTest(test)
        if not self._is_bad:
            self._tell(test, "passed")
        faulthandler.cancel_dump_traceback_later()

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        self._bad(test, "failed", self._exc_info_to_string(err, test))  # type: ignore[attr-defined]

    addFailure = addError  # noqa: N815

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:  # noqa: N802
        if err is not None:
            self.addError(subtest, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        if reason != PROTOBUF:
            self._bad(test, "skipped", reason)
            return
        self._tell(test, "protobuf")
        # A sub-test's half: the test as a whole has its own outcome.
        self._is_bad = self._is_bad or not hasattr(test, "test_case")

    def _bad(self, test: unittest.TestCase, outcome: str, detail: str) -> None:
        self._is_bad = True
        self._tell(test, outcome, detail)

    def _tell(self, test: unittest.TestCase, outcome: str, detail: str = "") -> None:
        line = {"test": test.id(), "outcome": outcome, "detail": detail, "sockets": self.sockets}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def main(directory: str) -> None:
    """Run all."""
    sys.path.insert(0, directory)
    import centrifuge.client

    recorder = Recorder()
    connect = centrifuge.client.Client.connect

    async def connect_json(client: Any) -> None:
        # Through the proxy of a test it would not reach the server.
        is_direct = f":{SERVER_PORT}/" in client._address and "ws_proxy" not in os.environ
        if client._use_protobuf and is_direct:
            raise unittest.SkipTest(PROTOBUF)
        await connect(client)

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and arguments[1][1:2] == (SERVER_PORT,):
            recorder.sockets += 1

    centrifuge.client.Client.connect = connect_json
    sys.addaudithook(count)
    tests = unittest.defaultTestLoader.discover(f"{directory}/tests", top_level_dir=directory)
    tests.run(recorder)


if __name__ == "__main__":
    main(sys.argv[1])
