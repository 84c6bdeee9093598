"""The messages of KARAIS: one module per domain, msgspec and the standard library only."""
