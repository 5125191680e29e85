"""Write the tables of docs/reference/server-api.md, from the Structs that the server decodes and encodes.

    python docs/api_table.py           rewrites the page
    python docs/api_table.py --check   exits with 1 if it is out of date

A method's meaning is its request's docstring, a field's the comment behind it in
`wsloop/hub/operations/requests.py` and `results.py`. From the project's root.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
from marked import write_or_check
from msgspec import inspect as types

from wsloop.hub.operations import table
from wsloop.server.api import HTTP_STATUS

PAGE = Path(__file__).parent / "reference" / "server-api.md"
BEGIN, END = "<!-- methods: generated -->\n", "<!-- methods: end -->\n"

NAMES = {types.StrType: "string", types.BoolType: "boolean", types.FloatType: "number", types.RawType: "JSON"}


def comments(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return the comment behind each field of a Struct and of its bases."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if issubclass(each, msgspec.Struct) and each is not msgspec.Struct:
            found |= dict(re.findall(r"^    (\w+): .*?#\s*(.+)$", inspect.getsource(each), re.MULTILINE))
    return found


def type_name(kind: Any) -> str:  # noqa: ANN401 - one of msgspec's many kinds
    """Return a field's type in words."""
    if isinstance(kind, types.Metadata):
        return type_name(kind.type)
    if isinstance(kind, types.UnionType):
        return type_name(next(each for each in kind.types if not isinstance(each, types.NoneType)))
    if isinstance(kind, types.IntType):
        if kind.ge is not None and kind.le is not None and kind.le < 2**53:
            return f"integer, {kind.ge} to {kind.le}"
        return "integer" if kind.ge is None else f"integer from {kind.ge}"
    if isinstance(kind, types.ListType):
        return f"list of {type_name(kind.item_type)}"
    if isinstance(kind, types.DictType):
        return f"object of {type_name(kind.value_type)}"
    if isinstance(kind, types.StructType):
        return f"[{kind.cls.__name__}](#{kind.cls.__name__.lower()})"
    return NAMES[type(kind)]


def rows(kind: type[msgspec.Struct], *, is_request: bool) -> list[str]:
    """Return the table of one Struct's fields; empty if it has none."""
    info = types.type_info(kind)
    assert isinstance(info, types.StructType)
    if not info.fields:
        return []
    told = comments(kind)
    head = "| field | type | default | meaning |" if is_request else "| field | type | meaning |"
    lines = [head, re.sub(r"[^|]+", "---", head)]
    for field in info.fields:
        cells = [f"`{field.encode_name}`", type_name(field.type)]
        if is_request:
            cells.append(default_of(field))
        lines.append(f"| {' | '.join([*cells, told[field.name]])} |")
    return [*lines, ""]


def default_of(field: types.Field) -> str:
    """Return what is assumed where a field is absent, "" for nothing, in bold where it must not be."""
    if field.required:
        return "**required**"
    default = field.default
    if default is msgspec.NODEFAULT or default in ("", None) or isinstance(default, msgspec.Raw):
        return ""
    return f"`{msgspec.json.encode(default).decode()}`"


def nested(kinds: list[type[msgspec.Struct]]) -> list[type[msgspec.Struct]]:
    """Return the Structs inside those given, in the order in which they are met."""
    found: dict[type[msgspec.Struct], None] = {}

    def look(kind: Any, *, is_inside: bool = True) -> None:  # noqa: ANN401
        if isinstance(kind, types.StructType):
            if is_inside:
                found[kind.cls] = None
            for field in kind.fields:
                look(field.type)
        for name in ("type", "item_type", "value_type"):
            if hasattr(kind, name):
                look(getattr(kind, name))
        for each in getattr(kind, "types", ()):
            look(each)

    for kind in kinds:
        look(types.type_info(kind), is_inside=False)
    return list(found)


def tables() -> str:
    """Return all methods, then the objects inside them, then the errors."""
    lines: list[str] = []
    for name, method in table.METHODS.items():
        lines += [f"## {name}", "", inspect.getdoc(method.request) or "", ""]
        lines += rows(method.request, is_request=True) or ["The request has no fields: `{}`.", ""]
        answer = inspect.getdoc(method.result) or ""
        lines += [f"Result: {answer[0].lower()}{answer[1:]}", "", *rows(method.result, is_request=False)]
    requests = [method.request for method in table.METHODS.values()]
    answers = [method.result for method in table.METHODS.values()]
    lines += ["## Objects", ""]
    for kind in nested(list(requests)):
        lines += [f"### {kind.__name__}", "", inspect.getdoc(kind) or "", "", *rows(kind, is_request=True)]
    for kind in nested(list(answers)):
        lines += [f"### {kind.__name__}", "", inspect.getdoc(kind) or "", "", *rows(kind, is_request=False)]
    lines += ["## Status in the error mode `transport`", "", "| error | status |", "|---|---|"]
    lines += [f"| {code} | {status} |" for code, status in HTTP_STATUS.items()]
    return "\n".join([*lines, "| any other | 500 |", ""])


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, BEGIN, END, tables()))
