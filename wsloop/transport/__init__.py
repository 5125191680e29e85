"""Bytes through a socket: reading, writing, listening, closing.

The only room that calls the socket API; everything above sees a `Transport`.
"""
