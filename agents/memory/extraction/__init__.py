"""From what a user says to facts: rules over sentences, and a learned judge of them.

Only what the user states about the real world, in their own words, is a fact;
in doubt nothing is extracted.
"""

from agents.memory.extraction.extract import extract

__all__ = ["extract"]
