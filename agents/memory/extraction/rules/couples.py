"""Who is together with whom."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction.model import Candidate, Clause
from agents.memory.extraction.rules.build import name_of
from agents.memory.extraction.subjects import is_name

_NAME = r"(?P<v>[A-ZÄÖÜ][\w'-]+(?: [A-ZÄÖÜ][\w'-]+)?)"


def together(clause: Clause) -> list[Candidate]:
    """Read "be seeing Lea", "be dating Tom", "be together with Jana", "be in a relationship with Tom"."""
    if not clause.subject.is_human or clause.negated or clause.tense in ("past", "future"):
        return []
    rest = re.split(r", | and | und | again$| now$", clause.rest)[0]
    match = None
    if clause.verb in ("see", "date") and clause.progressive:
        match = re.match(rf"^(?:someone (?:called|named) |an? [\w ]*?(?:called|named) )?{_NAME}$", rest)
        if clause.verb == "see" and clause.when.point:
            return []  # "seeing Tom on Friday" is an appointment
    elif clause.verb == "be":
        match = re.match(
            rf"^(?:together with|in a relationship with|going out with|liiert mit|dating) {_NAME}$", rest
        )
    elif clause.verb == "go" and clause.progressive:
        match = re.match(rf"^out with {_NAME}$", rest)
    elif clause.verb in ("get", "meet") and clause.tense in ("past", "perfect"):
        match = re.match(rf"^together with {_NAME}$", rest)
    if not match or not is_name(match["v"]) or (clause.verb == "go" and clause.when.phrase):
        return []
    path = clause.subject.attribute("partner")
    return name_of(
        replace(clause.subject, path=path, label=f"{clause.subject.possessive} partner", kind="person"),
        match["v"],
    )


RULES = {"see": [together], "date": [together], "be": [together], "go": [together], "get": [together]}
