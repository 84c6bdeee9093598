"""What the user asks to remember, word by word."""

from __future__ import annotations

import re

_ASKED = re.compile(
    r"^(?:(?:please|pls|bitte|and|also|oh|ok|okay|hey|btw|can you|could you|would you|kannst du|kindly)[, "
    r"]+)*(?:"
    r"(?:please )?(?:remember|memori[sz]e|don'?t forget|do not forget|never forget|keep in mind|bear in "
    r"mind|make a (?:mental )?note|"
    r"take (?:a )?note|note(?: down)?|save(?: this| that)?|store(?: this| that)?|jot down|write down|for "
    r"your memory|for the record|"
    r"for (?:future|later) reference|reminder to self|note to self|add to (?:your )?memory)"
    r"(?: for (?:me|later|next time|the future|future reference))?(?: this| the following)?(?:,? that\b|"
    r"\s*[:,–-]|(?<=reference)|(?<=record))"
    r"|(?:please )?(?:remember|don'?t forget) (?=(?:my|our|the|i|we)\b(?! (?:to|way|time|name of)))"
    r"|note to self|notiz|notiere?(?: dir)?|merke? (?:dir|es dir)(?: bitte)?|vergiss nicht|denk dran|denk "
    r"daran|für später|"
    r"behalte?(?: bitte)? im kopf|zur erinnerung|speichere?(?: dir)?(?: bitte)?"
    r")\s*[:,–-]?\s*(?:bitte,? )?(?:dass |that )?(?P<what>\S.*\S)$",
    re.IGNORECASE | re.DOTALL,
)
_ENCOURAGING = re.compile(
    r"^(?:(?:and|so|just|always) )*(?:remember|don'?t forget|never forget)(?:,| that\b)", re.IGNORECASE
)
"""As said to somebody: "remember, believe in yourself"."""
_TASK = re.compile(r"^(?:to|how|when|what|why|where|who|zu)\b", re.IGNORECASE)


def asked_to_remember(text: str) -> str:
    """Return the words that the user asks to remember; empty when it asks for nothing."""
    match = _ASKED.match(text.strip())
    if not match or (
        text.rstrip().endswith("?") and not re.match(r"^(?:can|could|would|kannst)", text.strip(), re.I)
    ):
        return ""
    what = match["what"].strip(" .!?\"'")
    if _ENCOURAGING.match(text.strip()) and (
        re.search(r"\byou(?:r|rself)?\b", what, re.I)
        or not re.search(r"\b(?:my|our|i|we|the|mein\w*|unser\w*)\b|\d|(?-i:(?<!^)\b[A-Z])", what, re.I)
    ):
        return ""
    return "" if _TASK.match(what) or len(what.split()) < 2 else what
