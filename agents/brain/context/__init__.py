"""What goes into a prompt, and what a long conversation becomes.

``budget``      who of the parts gets how many tokens
``tokens``      exact counts, each text counted once
``frames``      the words around the parts: information, never orders
``history``     which exchanges stand in the prompt, so that its beginning stays as it is for many turns
``assembly``    the prompt
``summary``     what a summary keeps of what was said
``compaction``  writing summaries, and reading along what the next prompt begins with, while nobody waits
"""

from agents.brain.context.assembly import Assembler, Prompt
from agents.brain.context.compaction import Compactor
from agents.brain.context.history import Story

__all__ = ["Assembler", "Compactor", "Prompt", "Story"]
