"""What the machine's GPUs can do with what is installed: cards, builds, and verdicts about both.

``cards`` asks the driver, ``builds`` reads the installed packages, ``support``
compares the two, and ``choosing`` picks an engine from it. None of them
imports torch or another engine, and all but ``cards.read`` and ``builds.read``
are pure, so that what a card would do can be asked without having it.
"""
