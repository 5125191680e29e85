"""Contract suites: what every implementation of a port must pass, as pytest classes to derive from."""
