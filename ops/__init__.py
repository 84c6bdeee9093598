"""Command line, supervisor, doctor, benchmarks: the only place that wires things together."""
