"""What is said of a day or a stay only, and what a value cannot be: it changes nothing that is known."""

from __future__ import annotations

import re

PASSING = re.compile(
    r"\b(?:for (?:this|the|a|my|our) |today|tonight|"
    r"(?:wife|husband|brother|sister|mother|father|mum|dad|friend)'s\b)",
    re.I,
)
"""In what takes another's place: it takes it for once."""
OF_WORK = re.compile(
    r"\b(?:work\w*|jobs?|quit|left|resigned|hired|joined|employer|boss|arbeit\w*|gekündigt)\b", re.I
)
_MOMENT = re.compile(
    r"^(?:at|um|around|gegen|about) \d|\b(?:today|tonight|this (?:morning|afternoon|evening|week|weekend|"
    r"time)|"
    r"last night|earlier|heute|diese woche|heute abend)\b",
    re.IGNORECASE,
)
_FOR_A_WHILE = re.compile(
    r"\bfor (?:the|a|an|two|three|four|five|\d+|some|this|lunch|dinner|now|work) ?(?:day|days|night|nights|"
    r"week|weeks|"
    r"weekend|conference|meeting|holidays?|bit|while|break|visit|wedding|funeral|hours?|kick-?off|trip)?\b"
    r"|\buntil (?:tomorrow|tonight|the end|next|\d|(?:mon|tues|wednes|thurs|fri|satur|sun)day)|"
    r"\b(?:visiting|next stop|on my way|back (?:on|tomorrow|tonight|in an? )|on holiday|on leave|"
    r"to beat the|für (?:ein|zwei|drei|das) \w+|bis (?:morgen|sonntag|montag))\b",
    re.IGNORECASE,
)
_NOT_FOR_GOOD = re.compile(
    r"\b(?:left|leave|leaving|(?<!came )off|cancell?ed|called off|gone|over|finished|away|back|stopped|"
    r"closed|verlassen|"
    r"abgesagt|ausgefallen|weg|am|are|bin|sind)\b",
    re.IGNORECASE,
)


def is_for_a_while(text: str, when: str, sentence: str) -> bool:
    """Say whether what a clause tells holds for a day or a stay only."""
    if not _NOT_FOR_GOOD.search(text):
        return False
    is_left = re.match(r"^(?:I|we|ich|wir) (?:\w+ )?(?:left|habe\w*)\b", text, re.IGNORECASE)
    if is_left and re.search(r"\b(?:yesterday|gestern|early|late)\b", f"{when} {text}", re.IGNORECASE):
        return bool(re.search(r"\bback\b|\bearly\b|\blate\b", sentence, re.IGNORECASE))
    return bool(_MOMENT.search(when) or _MOMENT.search(text) or _FOR_A_WHILE.search(sentence))


def is_named_in(attribute: str, sentence: str) -> bool:
    """Say whether a sentence names the service that a slot is for: "internet" of ``internet_provider``."""
    what = re.split(r"[_ ]", attribute)[0]
    return bool(re.search(rf"\b{re.escape(what)}", sentence, re.IGNORECASE))


def is_pay(amount: str) -> bool:
    """Say whether an amount can be a wage: a currency with three digits or an hour's or month's pay."""
    if re.search(r"\b(?:a|per) (?:hour|day|week|month|year)\b", amount, re.IGNORECASE):
        return True
    return bool(re.search(r"\d{2,}k\b|\d[\d.,]{3,}", amount, re.IGNORECASE))


def is_number(value: str) -> bool:
    """Say whether digits can be a telephone number, and no date or span of hours."""
    return "@" in value or not re.fullmatch(
        r"\d{4}-\d\d?-\d\d?|\d\d?[./-]\d\d?[./-]\d{2,4}|[\d:]+ ?- ?[\d:]+", value
    )
