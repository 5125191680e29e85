"""The messaging domain: channels, presence, history, commands.

Sees a subscriber only through a typing.Protocol; never a socket, a frame or a clock.
"""
