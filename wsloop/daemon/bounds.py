"""The largest numbers that a setting takes, and what a key of the API looks like."""

API_KEY_PATTERN = r"^[!-~]{8,255}\Z"
"""A key of the server API: what a header can carry without a doubt, and too long to be guessed by hand."""

MAX_SECONDS = 86_400 * 365
MAX_COUNT = 2**31 - 1
"""What is larger no longer fits the system calls it ends in."""

MAX_FRAME_MESSAGES = 256
"""As many replies as one turn may bring, and more."""

MAX_DELAY_MS = 1000
"""A push that waits longer would better not be a push."""

MIN_SPOOL_BYTES = 65_536
MAX_SPOOL_BYTES = 256 * 1024 * 1024
"""Less holds no batch; more would be read at start, and written anew, for longer than a turn may take."""

MAX_WORKERS = 512
"""Processes: each has some 10 MB of its own, and one core is as much as it can use."""
