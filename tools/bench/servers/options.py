"""The one option that all servers share."""

from __future__ import annotations

import argparse


def parse_port(description: str) -> int:
    """Return the TCP port given by --port; 0 (the default) lets the kernel choose."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; 0 = any free one")
    port: int = parser.parse_args().port
    return port
