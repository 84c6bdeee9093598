"""The OpenAI interface: one module per protocol, translation and nothing else."""
