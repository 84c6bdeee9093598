"""The agent for Jetson and other small machines: bus and schemas only, no torch."""
