"""Write the tables of commands and codes into docs/reference/client-protocol.md, from the hub's own.

    python docs/protocol_tables.py           rewrites the page
    python docs/protocol_tables.py --check   exits with 1 if it is out of date

A request's fields are those of its Struct in `wsloop/hub/commands.py`, a code's text and reason those of
`wsloop/hub/codes.py`. What a result holds, and what a command is refused with, no other table has.
"""

from __future__ import annotations

import sys
import typing
from pathlib import Path

import msgspec

from wsloop.hub import codes, commands
from wsloop.hub.dispatcher import COMMANDS

PAGE = Path(__file__).parent / "reference" / "client-protocol.md"
TEST = "test_codes.py"

ANSWERS = {
    "connect": (
        "`client`, `version`, `ping`, `pong`, `expires`, `ttl`, `data`, `subs`, `flag`",
        "100, 102, 107, 109, 110, 111; closes: 3500, 3501, 3505, 3507",
    ),
    "subscribe": (
        "`recoverable`, `positioned`, `epoch`, `offset`, `was_recovering`, `recovered`, `publications`, "
        "`data`, `expires`, `ttl`, `delta`, `id`",
        "100, 102, 103, 105, 106, 107, 108, 109, 110, 112; closes: 3500, 3501, 3507",
    ),
    "refresh": ("`client`, `version`, `expires`, `ttl`", "closes: 3005, 3500, 3501, 3507"),
    "sub_refresh": ("`expires`, `ttl`", "103, 107, 109, 110; closes: 3500, 3501, 3507"),
    "unsubscribe": ("empty", "never"),
    "publish": (
        "`offset`, `epoch` if the channel keeps history; `dup` if it was published before",
        "100, 102, 103, 107, 108",
    ),
    "presence": (
        "`presence`: client id to `user`, `client`, `conn_info`, `chan_info`",
        "100, 102, 103, 107, 108",
    ),
    "presence_stats": ("`num_clients`, `num_users`", "100, 102, 103, 107, 108"),
    "history": ("`publications`, `epoch`, `offset`", "100, 102, 103, 107, 108, 112"),
    "ack": ("empty", "100, 103, 107, 108, 112"),
    "rpc": ("`data`", "100, 108, and what the backend says"),
    "send": ("no reply", "closes: 3508"),
    "ping": ("", "108"),
}

KINDS = {
    "Error codes": ("error", lambda code: 100 <= code < 2000),
    "Close codes": ("close", lambda code: 3000 <= code < 5000),
    "Unsubscribe codes": ("unsubscribe", lambda code: 2000 <= code < 3000),
}


OTHERS = {
    "error": f" (a backend may answer with it: `{TEST}::test_a_backend_may_refuse_with_any_error`)",
    "close": f" (the operator may name it: `{TEST}::test_the_operator_may_close_with_any_code`)",
    "unsubscribe": "",
}
"""Who else may have a code sent, and the test that shows it."""


def commands_table() -> list[str]:
    """Return the commands with what they carry."""
    types = typing.get_type_hints(commands.Command)
    lines = ["| command | request | result | refused with |", "|---|---|---|---|"]
    order = list(ANSWERS)
    for method, _ in sorted(COMMANDS, key=lambda row: order.index(row[0])):
        kind = next(each for each in typing.get_args(types[method]) if issubclass(each, msgspec.Struct))
        fields = ", ".join(f"`{name}`" for name in kind.__struct_encode_fields__)
        lines.append(f"| `{method}` | {fields} | {' | '.join(ANSWERS[method])} |")
    return lines


def codes_tables(heading: str) -> list[str]:
    """Return the codes of a kind that are sent, each with its test, and those that never are."""
    name, belongs = KINDS[heading]
    all_codes = [value for value in vars(codes).values() if isinstance(value, codes.Code)]
    found = sorted((code for code in all_codes if belongs(code.code)), key=lambda code: code.code)
    lines = ["| code | text | when | test |", "|---|---|---|---|"]
    for code in found:
        if code.when:
            retry = "; temporary: a retry may help" if code.temporary else ""
            lines.append(
                f"| {code.code} | {code.message} | {code.when}{retry} | `{TEST}[{name}-{code.code}]` |"
            )
    never = [f"| {code.code} | {code.message} | {code.never} |" for code in found if code.never]
    if never:
        lines += ["", f"Known to SDKs, but not sent by this server of its own accord{OTHERS[name]}:", ""]
        lines += ["| code | text | why not |", "|---|---|---|", *never]
    return lines


def made(text: str) -> str:
    """Return the page with each generated part made anew; it stands right below its heading's mark."""
    parts = {"Commands": commands_table(), **{heading: codes_tables(heading) for heading in KINDS}}
    for heading, lines in parts.items():
        begin, end = f"<!-- {heading}: generated -->\n", f"<!-- {heading}: end -->\n"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        if not after and not rest:
            raise ValueError(f"the page has no mark {begin!r}")
        text = f"{before}{begin}\n" + "\n".join(lines) + f"\n\n{end}{after}"
    return text


def main() -> int:
    """Write, or check, the page; return the exit code."""
    text = PAGE.read_text(encoding="utf-8")
    fresh = made(text)
    if "--check" in sys.argv:
        return int(fresh != text)
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
