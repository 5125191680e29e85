"""`uvicorn --ws websockets-sansio`: the newer of its two bindings to the websockets library."""

from __future__ import annotations

from tools.bench.servers.asgi import serve
from tools.bench.servers.options import parse_options

if __name__ == "__main__":
    serve(parse_options(__doc__), "websockets-sansio")
