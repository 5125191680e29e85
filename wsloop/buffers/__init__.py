"""Bytes at rest: the ring, the pool that lends rings, and the outbox.

Pure: no socket, no clock. Each class is proven against a simple model by hypothesis.
"""
