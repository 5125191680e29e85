"""The largest numbers that a setting takes: what is larger no longer fits the system calls it ends in."""

MAX_SECONDS = 86_400 * 365
MAX_COUNT = 2**31 - 1
