"""The servers that are measured: each a process of its own, an echo and nothing else."""
