"""What the user wants: to be called so, answers like this, something kept word by word."""

from __future__ import annotations

import hashlib
import re

from agents.memory.extraction import ending_words
from agents.memory.extraction.model import Candidate
from agents.memory.extraction.subjects import THE_OWNER

_CALL_ME = re.compile(
    r"^(?:(?i:please|just|but|you can|you may|bitte|du kannst),? )*(?:(?i:call me|nenn(?:e)? mich)|"
    r"mich) (?P<v>(?!The\b|A\b)"
    r"[A-ZÄÖÜ][a-zäöüß]+)(?: nennen)?(?:,? (?:from now on|please|instead|bitte|ab jetzt))*[.!]*$"
)
_PREFERRED_ANSWERS = re.compile(
    r"^(?:(?:so|and|also|please|btw),? )*i(?:'d)? (?:prefer|like|want|love) (?:my |your |the )?(?:answers?|"
    r"replies|responses|"
    r"explanations|summaries) (?:to be |in |as |with )?(?P<v>[\w -]{3,40}?)(?:,? (?:please|plz|pls|"
    r"thanks))?[.!]*$",
    re.IGNORECASE,
)
_ANSWERS = re.compile(
    r"^(?:please |from now on,? |in (?:the )?future,? |bitte |ab jetzt |in zukunft )*(?:always|from now on|"
    r"in future|only ever|never|immer|ab jetzt|künftig)[, ]+(?P<p>(?:please )?"
    r"(?:answer|reply|respond|write|speak|talk|use|call|address|give(?! up)|keep|antworte|schreib|sprich|"
    r"nenn|"
    r"duze?|be|format|include|add|avoid|start|end)\b.*)$"
    r"|^(?:please |bitte )*(?P<q>(?:always|immer|never) (?:answer|reply|respond|write|use|call|address|"
    r"antworte\w*|give(?! up)|keep)\b.*)$"
    r"|^(?:please |bitte )*(?P<r>(?:answer|reply|respond|write|speak|talk|use|call|address|antworte|"
    r"schreibe?|sprich)\b.*?),? (?:from now on|in (?:the )?future|always|ab jetzt|"
    r"in zukunft|künftig|every time|immer)[ .!]*$"
    r"|^(?:please |bitte )*(?P<s>(?:antworte|schreibe?|sprich|answer|reply|speak)\b.*\b(?:immer|always)"
    r"\b.*)$",
    re.IGNORECASE,
)


def read(sentence: str) -> Candidate | None:
    """Return how the user wants to be called or answered; None when a sentence says neither."""
    if match := _CALL_ME.match(sentence):
        return Candidate(THE_OWNER, "nickname", match["v"], f"wants to be called {match['v']}", "identity")
    is_contact = ending_words.NUMBER_NOW.match(sentence)
    if not is_contact and (match := _ANSWERS.match(sentence.rstrip(".!"))):
        return _answering((match["p"] or match["q"] or match["r"] or match["s"]).strip())
    if match := _PREFERRED_ANSWERS.match(sentence):
        return _answering(match["v"].strip())
    return None


def _answering(wanted: str) -> Candidate:
    match = re.search(r"\b(?:in|auf) (?P<v>[A-Z][a-z]+)\b", wanted)
    topic = "language" if match else re.sub(r"\W+", " ", wanted.casefold()).strip()[:60]
    text = f"The owner wants this of every answer: {wanted}."
    return Candidate(
        THE_OWNER, f"answers:{topic}", match["v"] if match else wanted, text, "preference", is_sentence=True
    )


def noted(what: str) -> Candidate:
    """Return what is to be kept word by word as a note."""
    key = hashlib.sha256(what.casefold().encode()).hexdigest()[:12]
    return Candidate(
        THE_OWNER,
        f"note:{key}",
        what,
        what[:1].upper() + what[1:] + ".",
        "note",
        confidence=1.0,
        is_sentence=True,
    )
