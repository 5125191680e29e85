"""Upgrade requests, byte by byte: what clients really send, and what may be wrong with a request.

`strategies.request_heads` draws from `DEFECTS`; `requests.py` has requests as values. Needs no hypothesis.
"""

from __future__ import annotations

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def head(*lines: str) -> bytes:
    """Return a head of these lines, its blank line included."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


CLIENTS: dict[str, bytes] = {
    "Chromium": head(
        "GET /connection/websocket HTTP/1.1",
        "Host: 127.0.0.1:8765",
        "Connection: Upgrade",
        "Pragma: no-cache",
        "Cache-Control: no-cache",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0",
        "Upgrade: websocket",
        "Origin: http://127.0.0.1:8765",
        "Sec-WebSocket-Version: 13",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-US,en;q=0.9",
        "Cookie: session=a%20b; theme=dark",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    ),
    "Firefox": head(
        "GET /echo HTTP/1.1",
        "Host: localhost:8765",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Accept: */*",
        "Accept-Language: en-US,en;q=0.5",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Sec-WebSocket-Version: 13",
        "Origin: http://localhost:8765",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "DNT: 1",
        "Connection: keep-alive, Upgrade",
        "Sec-Fetch-Dest: empty",
        "Sec-Fetch-Mode: websocket",
        "Sec-Fetch-Site: same-origin",
        "Pragma: no-cache",
        "Cache-Control: no-cache",
        "Upgrade: websocket",
    ),
    "websockets": head(
        "GET /echo HTTP/1.1",
        "Host: 127.0.0.1:8765",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "User-Agent: Python/3.11 websockets/15.0.1",
    ),
    "npm ws": head(
        "GET /echo HTTP/1.1",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Protocol: centrifuge-protobuf,centrifuge-json",
        "Host: [::1]:8765",
    ),
    "gorilla": head(
        "GET /connection/websocket?cf_ws_frame_ping_pong=true HTTP/1.1",
        "Host: chat.example",
        "User-Agent: Go-http-client/1.1",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Upgrade: websocket",
    ),
    "behind nginx": head(
        "GET /connection/websocket HTTP/1.1",
        "Upgrade: websocket",
        "Connection: upgrade",
        "Host: chat.example",
        "X-Real-IP: 192.0.2.1",
        "X-Forwarded-For: 192.0.2.1",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ),
}
"""One head per kind of client; all of them are plain."""


REQUEST_LINES = [
    *(
        b"GET %s HTTP/1.1" % target
        for target in (b"/a?b=c", b"/a#b", b"//h/x", b"*", b"http://other/x", b"a")
    ),
    *(b"GET %s HTTP/1.1" % target for target in (b"/a b", b"/\xe9", b"/%zz", b"", b"/\x7f", b'/"', b"/?")),
    *(b"%s / HTTP/1.1" % method for method in (b"get", b"HEAD", b"POST", b"CONNECT", b"G\tT", b"")),
    *(b"GET / " + version for version in (b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.10", b"http/1.1", b"HTTP/1.1 ")),
]

VALUES = {
    b"Host": [b"", b"a b", b"[::1]:80", b"h:", b"h:99999999", b"\xe9", b"%zz", b"h,h", b"@h"],
    b"Upgrade": [b"WebSocket", b"h2c", b"h2c, websocket", b"websocket/13", b""],
    b"Connection": [b"keep-alive, Upgrade", b"Upgrade,close", b"close", b"keep-alive", b"Upgrade, x", b""],
    b"Sec-WebSocket-Key": [b"A" * 22 + b"==", KEY[:-1], KEY + b"=", b"", KEY + b", " + KEY, b"x" * 24],
    b"Sec-WebSocket-Version": [b"8", b"13, 8", b"013", b"", b"14"],
    b"Sec-WebSocket-Protocol": [b"a", b"a, b", b"a,, b", b"a, a", b",", b"(a)", b""],
    b"Sec-WebSocket-Extensions": [b"permessage-deflate", b'x; y="1", z', b"x; y=", b"x,,y", b""],
    b"Content-Length": [b"0", b"3", b"0, 1", b"x"],
    b"Transfer-Encoding": [b"chunked", b"gzip"],
    b"Expect": [b"100-continue", b"a miracle"],
    b"Origin": [b"http://h", b"null"],
    b"X": [
        b"caf\xe9",
        b"\xff\x7f",
        b"",
        b"a\tb",
        b"a  b",
        b"a\r\n folded",
        b"y" * 130,
        b"\x01",
        b"a:b",
        b" a",
        b"a ",
    ],
    b"X Y": [b"1"],
    b"X:Y": [b"1"],
    b"": [b"1", b""],
    b"X\x00": [b"1"],
}

DEFECTS: list[tuple[str, bytes, bytes]] = [
    *(("request line", b"", line) for line in REQUEST_LINES),
    *(("replace", name, value) for name, values in VALUES.items() for value in values),
    *(("add", name, value) for name, values in VALUES.items() for value in values),
    *(("add", name, b"websocket") for name in (b"Upgrade", b"Host", b"Connection")),
    *(("colon", b"", colon) for colon in (b":", b":  ", b" : ", b":\t", b" ", b"", b"::")),
    *(("end", b"", end) for end in (b"\n", b" \r\n", b"\t\r\n", b"\r\r\n", b"\r", b"\r\n\r\n", b"")),
    *(("blank line", b"", end) for end in (b"\n", b"\r", b"", b" \r\n")),
    *(("case", b"", b"") for _ in range(8)),
    *(("order", b"", b"") for _ in range(8)),
    *(("remove", b"", b"") for _ in range(8)),
    *(("before", b"", noise) for noise in (b"\r\n", b"\r\n\r\n", b"\n", b"\r")),
    *(("behind", b"", noise) for noise in (b"\x81\x85", b"GET /", b"\r\n", b"\x00")),
]
"""What can be wrong, or only unusual: (what, name, value)."""

NOISE = [b"", b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\x00", b"\x7f", b"\xff", b",", b"#", b"A"]


def damaged(
    defects: list[tuple[tuple[str, bytes, bytes], int]], noise: list[tuple[int, int, bytes]]
) -> bytes:
    """Return an upgrade request with these defects, each at a place, and then this noise in its bytes."""
    usual = {b"Host": b"h", b"Upgrade": b"websocket", b"Connection": b"Upgrade"}
    usual |= {b"Sec-WebSocket-Key": KEY, b"Sec-WebSocket-Version": b"13"}
    lines = [[name, b": ", value, b"\r\n"] for name, value in usual.items()]
    around = {"request line": b"GET /chat HTTP/1.1", "blank line": b"\r\n", "before": b"", "behind": b""}
    for (what, name, value), place in defects:
        at = place % len(lines) if lines else 0
        if what in around:
            around[what] = value
        elif what == "add" or not lines:
            lines.insert(at, [name, b": ", value, b"\r\n"])
        elif what == "replace":
            lines = [[key, colon, value if key == name else old, end] for key, colon, old, end in lines]
        elif what == "remove":
            del lines[at]
        elif what == "order":
            lines.append(lines.pop(at))
        elif what == "case":
            lines[at][0] = lines[at][0].swapcase()
        else:
            lines[at][1 if what == "colon" else 3] = value
    request_line = around["request line"] + b"\r\n"
    stream = request_line + b"".join(b"".join(line) for line in lines) + around["blank line"]
    for at, removed, added in noise:
        at %= len(stream) + 1
        stream = stream[:at] + added + stream[at + removed :]
    return around["before"] + stream + around["behind"]
