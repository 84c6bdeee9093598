"""The agents: each an async process of its own that speaks over the bus, never by import."""
