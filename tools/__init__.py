"""Tools beside the package: benchmarks and the like. Nothing in wsloop imports them."""
