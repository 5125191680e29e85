"""Public tools for tests: fake clock, fake poller, in-memory network, contract suites."""
