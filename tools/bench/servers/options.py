"""The command line that all servers share: `--host`, `--port`, `--role`, and what single ones need."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

ROLES = ("echo", "fanout", "connect", "idle", "deflate", "flood")
"""The kinds of cells (`tools/bench/cells.py`). A server compresses in `deflate` and nowhere else."""


@dataclass(frozen=True, slots=True)
class Options:
    """Where to listen, and for which kind of cell.

    `frame_bytes` is the length of every client's frame of the cell: a bare loop, which does not
    parse, tells messages apart by it. `loop` is for servers on asyncio; `pure` and
    `unlimited_pings` for wsloop's own variants.
    """

    host: str
    port: int
    role: str
    frame_bytes: int
    loop: str
    pure: bool
    unlimited_pings: bool

    @property
    def deflate(self) -> bool:
        """Whether permessage-deflate is to be agreed to."""
        return self.role == "deflate"


def parse_options(description: str | None) -> Options:
    """Return what the command line says; ends the process with code 2 if it is wrong."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0 = any free one")
    add("--role", choices=ROLES, default="echo", help="kind of cell it is measured in [%(default)s]")
    add("--frame-bytes", type=int, default=0, help="length of a client's frame, for bare loops")
    add("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="event loop of asyncio's servers")
    add("--pure", action="store_true", help="wsloop: without optional accelerators")
    add("--unlimited-pings", action="store_true", help="wsloop: without the limit on control frames")
    return Options(**vars(parser.parse_args()))


def ready(port: int) -> None:
    """Print the line that says that the server listens."""
    print(f"listening on {port}", flush=True)
