"""The messaging domain: channels, presence, history, commands.

Sees a subscriber only through a typing.Protocol; never a socket, a frame or a clock.

A command comes in through `client.py`, is carried out by `dispatcher.py` or `subscribing.py`
under the rules of `namespaces.py`, and asks the ports `broker.py` and `presence.py`. What the
broker answers comes to `hub.py` and goes out through `channels.py`, as bytes from
`replies.py`, tailored for those who asked for it (`tailoring.py`, `audiences.py`).
`history.py` holds the arithmetic of streams and recovery.
"""
