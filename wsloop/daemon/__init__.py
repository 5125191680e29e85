"""What the operator sees: command line, configuration, signals, logs, composition."""
