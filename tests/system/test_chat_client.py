"""The tutorial's chat client does what the README says it does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.peers import MESSAGING, hear, open_messaging

pytestmark = pytest.mark.system

CLIENT = Path(__file__).parents[2] / "docs" / "tutorial" / "chat_client.py"


def test_it_shows_who_is_present_the_last_messages_and_live_ones_and_publishes_what_is_typed() -> None:
    with Daemon() as daemon, open_messaging(daemon) as page:
        for number in range(12):
            text = f'{{"text":"old {number}","name":"Page"}}'
            page.send(f'{{"id":{number + 3},"publish":{{"channel":"chat:lobby","data":{text}}}}}')
        hear(page, '"id":14')
        client = subprocess.Popen(
            [sys.executable, str(CLIENT), "Ann", daemon.url(MESSAGING)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert client.stdin is not None
            assert client.stdout is not None
            shown = [client.stdout.readline().rstrip("\n")]
            while "old 11" not in shown[-1]:
                shown.append(client.stdout.readline().rstrip("\n"))
            hear(page, '"join"')
            client.stdin.write("hello from the terminal\n")
            client.stdin.flush()
            frame = hear(page, "hello from the terminal")
            pushes = [json.loads(line)["push"] for line in frame.split("\n") if '"pub"' in line]
            assert [push["pub"]["data"] for push in pushes] == [
                {"text": "hello from the terminal", "name": "Ann"}
            ]
            page.send('{"id":99,"publish":{"channel":"chat:lobby","data":{"text":"hi Ann","name":"Page"}}}')
            live = [client.stdout.readline() for _ in range(2)]
            rest, errors = client.communicate(timeout=PATIENCE_S)
        finally:
            client.kill()
            client.wait()
        hear(page, '"leave"')
    present = next(line for line in shown if line.startswith("present: "))
    assert "Ann" in present
    assert [line for line in shown if "old" in line] == [f"{n + 1:>4}  Page: old {n}" for n in range(2, 12)]
    assert live == ["  13  Ann: hello from the terminal\n", "  14  Page: hi Ann\n"]
    assert (rest, errors, client.returncode) == ("", "", 0)
