"""Weights (Tier-0): what a model file is, where it lies, and how it is made ready for its engine."""
