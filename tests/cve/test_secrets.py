"""What an attacker could measure or guess: comparisons of secrets, and identifiers.

Time is not measured, which proves nothing on a busy machine; the sources are looked at instead.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import wsloop
from tests.cve.kit import stands_for
from wsloop.server.assembly import CONNECTION_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.testing.server import MemoryServer

SOURCES = sorted(Path(wsloop.__file__).parent.rglob("*.py"))

SECRET = re.compile(r"secret|password|passwd|signature|digest|hmac|api_?key|token(?!ize)", re.IGNORECASE)
NO_SECRETS = {"_token", "_TOKEN", "TOKEN_EXPIRED", "TOKEN_CODES", "SIGNATURE"}
"""HTTP's grammar calls a word a token (RFC 9110 section 5.6.2); numbers of the client protocol; and the PROXY
protocol its first bytes a signature."""

IMPORTS_RANDOM = re.compile(r"^\s*(?:import|from)\s+(?:[\w. ]+,\s*)*random\b", re.MULTILINE)


def names(node: ast.AST) -> Iterator[str]:
    """Yield the names a compared expression is made of; what a call returns has the call's name."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr


def compared_secrets(source: str) -> list[int]:
    """Return the lines that compare something named like a secret by ==, != or `in`."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(
            isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for operator in node.ops
        ):
            operands = (node.left, *node.comparators)
            # What a secret is compared with the constant "" tells only whether there is one.
            if any(isinstance(operand, ast.Constant) and not operand.value for operand in operands):
                continue
            found = {name for operand in operands for name in names(operand)} - NO_SECRETS
            if any(SECRET.search(name) for name in found):
                lines.append(node.lineno)
    return lines


@stands_for(
    "CVE-2021-33880",
    where="websockets (PyPI)",
    fault="a password was compared byte by byte, so that the time told how much of it was right",
    answer="no secret is compared by ==; hmac.compare_digest is the only way",
)
def test_no_secret_is_compared_by_its_bytes() -> None:
    compared = {path: compared_secrets(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {path: lines for path, lines in compared.items() if lines} == {}


def test_the_look_at_comparisons_sees_one() -> None:
    assert compared_secrets("if request.token == self._token_wanted: pass") == [1]
    assert compared_secrets("ok = hmac.new(k, m).digest() != given") == [1]
    assert compared_secrets("ok = hmac.compare_digest(given, signature)") == []
    assert compared_secrets("anonymous = token == ''") == []


@stands_for(
    "CVE-2017-16031",
    where="socket.io",
    fault="identifiers of connections came from Math.random, and could be guessed",
    answer="client ids are 16 bytes of the operating system's entropy",
)
def test_client_ids_are_entropy(house: MemoryServer) -> None:
    clients = [house.join() for _ in range(50)]
    ids = {str(client.replies[1]["connect"]["client"]) for client in clients}
    assert len(ids) == len(clients)
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", name) for name in ids)
    for client in clients:
        client.close()


# The simulator's chance comes from a seed.
def test_nothing_but_the_testing_kit_imports_random() -> None:
    sources = [path for path in SOURCES if "testing" not in path.parts]
    assert [path for path in sources if IMPORTS_RANDOM.search(path.read_text(encoding="utf-8"))] == []
    for line in (
        "import random",
        "  import os, random",
        "import random as chance",
        "from random import Random",
    ):
        assert IMPORTS_RANDOM.search(line)
    for line in ("import randomly", "# import random", "import a.random", "from a import random_order"):
        assert not IMPORTS_RANDOM.search(line)


def test_a_token_that_cannot_be_checked_opens_nothing(house: MemoryServer) -> None:
    client = house.connect(CONNECTION_PATH)
    client.send_text('{"id":1,"connect":{"token":"a.b.c"}}')
    house.run_until(lambda: client.is_gone)
    assert client.close_frame == (3500, "invalid token")
