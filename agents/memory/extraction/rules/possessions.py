"""What people own, buy, sell and drive."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import lexicon as words
from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause
from agents.memory.extraction.rules.build import fact

_THING_WORDS = "|".join(sorted(map(re.escape, words.THINGS), key=len, reverse=True))
_LASTING = re.compile(
    rf"\b(?:{_THING_WORDS}|iphone|macbook|imac|ipad|airpods|kindle|playstation|ps5|xbox|nintendo|steam "
    rf"deck|gopro|pixel|galaxy|thinkpad|"
    r"raspberry|synology|qnap|sonos|tesla|prusa|trampoline|pool|sauna|greenhouse|shed|garage|cottage|cabin|"
    r"holiday home|summer house|"
    r"violin|cello|drum ?kit|drums?|saxophone|synthesi[sz]er|synth|telescope|sewing machine|kayak|canoe|"
    r"surfboard|skis|snowboard|"
    r"motorhome|tractor|trailer|vespa|cargo bike|convertible|estate|hatchback|e-reader|vr headset|"
    r"projector|soundbar|record player|"
    r"air fryer|thermomix|grill|barbecue|bbq|fireplace|wood stove|heat pump|allotment|beehives?|greenhouse|"
    r"vinyl|collection of|"
    r"ferienhaus|schrebergarten|grundstück|garage|wohnmobil|geige|nähmaschine|klavier)\b",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"\b[A-ZÄÖÜ][\w!-]*(?: [\w!-]+)*?(?: |-)?\b(?:\d[\w-]*|[A-Z]{2,}\d*|Mini|Pro|Air|Max|Plus)\b"
)
_BRANDS = re.compile(
    r"\b(?:VW|Volkswagen|BMW|Audi|Mercedes|Opel|Ford|Toyota|Honda|Mazda|Nissan|Hyundai|Kia|Skoda|Škoda|"
    r"Seat|Fiat|Renault|Peugeot|"
    r"Citro[eë]n|Dacia|Volvo|Tesla|Porsche|Mini|Subaru|Suzuki|Jeep|Lexus|Polestar|Golf|Polo|Passat|Corolla|"
    r"Yaris|Octavia|Fabia|Focus|Fiesta|"
    r"Astra|Corsa|Clio|Twingo|Civic|Vespa|Ducati|Yamaha|Kawasaki|Harley|Canyon|Specialized|Brompton|Cube|"
    r"Giant|Dell|Lenovo|HP|Apple|"
    r"Samsung|Sony|Bosch|Siemens|Miele|LG|Canon|Nikon|Fujifilm|Leica|Garmin|Fritz!?Box|Synology|QNAP|Dyson|"
    r"Roomba|Weber|Fender|Gibson|"
    r"Steinway|Kindle|ThinkPad|MacBook|iPhone|iPad|Pixel|Galaxy|PlayStation|Xbox|Nintendo|DeLonghi|Jura|"
    r"Bialetti|Epson|Brother|Prusa|Canondale|"
    r"Trek|Gazelle|Chevrolet|Chevy|Dodge|Cadillac|Land Rover|Range Rover|Jaguar|Mitsubishi|Zoe|Leaf|Model "
    r"[3SXY])\b",
    re.IGNORECASE,
)
_TRIVIAL = re.compile(
    r"\b(?:question|problem|issue|idea|meeting|coupon|appointment|exam|test|feeling|look|list|point|minute|"
    r"moment|headache|cold|flu|time|plan|"
    r"choice|doubt|trouble|error|bug|chance|word|thought|dream|job|interview|dinner|lunch|breakfast|coffee|"
    r"tea|beer|party|date|deadline|"
    r"break|bad|good|great|nice|hard|long|busy|day|week|weekend|night|ticket|reservation|flight|call|fever|"
    r"pain|cough|hunger|appetite|"
    r"dozen|few|lot|bunch|couple of (?:minutes|questions|things)|suggestion|request|favou?r|guest|visitor|"
    r"leftover|egg|tomato|potato)s?\b",
    re.IGNORECASE,
)


def drives(clause: Clause) -> list[Candidate]:
    """Read "drive a 2018 Toyota Yaris", "ride a Vespa"."""
    if not clause.subject.is_human or (clause.negated and not clause.ended):
        return []
    if clause.progressive or clause.tense == "future" or (clause.tense == "past" and not clause.used_to):
        return []
    match = re.match(r"^(?:an? |our |my |eine?n? )(?P<v>.+)$", clause.rest, re.IGNORECASE)
    what = values.thing(match["v"].split(", ")[0]) if match else ""
    if match and re.search(r" (?:for|at) (?:the |an? )?[A-Z\w]", match["v"]):
        return []  # "a van for DPD" is the firm's
    if not what or not (re.search(r"[A-Z\d]", what) or _LASTING.search(what) or _BRANDS.search(what)):
        return []
    return fact(
        clause,
        "owns",
        what,
        f"{clause.verb}s a {what}",
        "possession",
        many=True,
    )


def owns(clause: Clause) -> list[Candidate]:
    """Read "own a small garden in Beuel", "have an iPhone 13 and a MacBook Air"."""
    if not clause.subject.is_human or (clause.negated and not clause.ended):
        return []
    if clause.tense == "future" or (clause.tense == "past" and not clause.used_to):
        return []
    found: list[Candidate] = []
    text = clause.rest
    appositive = re.match(r"^(?P<what>an? [\w -]+), an? (?P<model>[A-Z].*)$", text)
    if appositive and _is_lasting(appositive["what"]):
        return _one(clause, f"{values.thing(appositive['what'])}, a {appositive['model']}")
    called = re.sub(r" (?:called|named) .*$", "", text)
    for part in _parts(called):
        if (
            clause.verb == "own"
            or (clause.verb == "have" and _is_lasting(part))
            or (clause.ended and _LASTING.search(part))
        ):
            if re.match(r"^(?:business|company|shop)", part):
                continue
            found += _one(clause, part)
    return found


def buys(clause: Clause) -> list[Candidate]:
    """Read "bought a Bosch dishwasher", "got a new bike"."""
    if not clause.subject.is_human or clause.negated or clause.tense not in ("past", "perfect"):
        return []
    text = re.sub(r"^(?:myself|me|us|ourselves|himself|herself|mir|uns) ", "", clause.rest)
    if re.match(r"^(?:(?:my|our|his|her) [\w-]+|[A-ZÄÖÜ]\w+|him|her|them) (?:an?|the|some|two) ", text):
        return []  # "bought my dad an iPad"
    text = re.sub(r"^(?:rid of|this|that|these|those) .*$", "", text)
    present = replace(clause, tense="present")
    found: list[Candidate] = []
    for part in _parts(text):
        if _is_lasting(part):
            found += _one(present, part)
    return found


def sells(clause: Clause) -> list[Candidate]:
    """Read "sold the Golf", "got rid of my old TV", "crashed the car"."""
    if not clause.subject.is_human or clause.negated or clause.tense not in ("past", "perfect"):
        return []
    text = clause.rest
    if clause.verb == "get":
        match = re.match(r"^rid of (?P<v>.+)$", text)
        if not match:
            return []
        text = match["v"]
    elif clause.verb == "give":
        match = re.match(r"^(?:away |up )(?P<v>.+)$", text) or re.match(
            r"^(?P<v>.+?) (?:away|to my \w+)\b", text
        )
        if not match:
            return []
        text = match["v"]
    if not re.match(r"^(?:my|our|the|his|her|mein\w*|unser\w*|den|das|die)\b", text, re.I):
        return []
    what = values.thing(re.sub(r"\bold\b ?", "", text))
    if not what or not (_is_lasting(what) or re.search(r"[A-Z]", what)):
        return []
    return fact(clause, "owns", what, f"owns the {what}", "possession", many=True, effect="ends")


def replaces(clause: Clause) -> list[Candidate]:
    """Read "replaced the Golf with a Skoda", "swapped my iPhone for a Pixel"."""
    match = re.match(
        r"^(?:my|our|the) (?:old )?(?P<old>.+?) (?:with|by|for) (?:a |an |the )?(?P<new>.+)$", clause.rest
    )
    both = re.match(
        r"^(?P<old>[A-Z][\w.+-]*) (?:with|by|for) (?P<new>[A-Z][\w.+-]*(?: [A-Z]\w*)?)$", clause.rest
    )
    if both and not clause.negated and clause.tense in ("past", "perfect"):
        new = both["new"]
        return fact(replace(clause, tense="present"), "uses", new, f"uses {new}", "technical", many=True)
    if not match or clause.negated or clause.tense not in ("past", "perfect"):
        return []
    if re.search(r" (?:for|with) (?:my|our|his|her) \w+'s ", clause.rest):
        return []  # somebody else's, for once
    old, new = values.thing(match["old"]), values.thing(match["new"])
    if not _is_lasting(old) and not _is_lasting(new):
        return []
    return [
        *fact(clause, "owns", old, f"owns the {old}", "possession", many=True, effect="ends"),
        *_one(replace(clause, tense="present"), new),
    ]


def rents(clause: Clause) -> list[Candidate]:
    """Read "rent a three-room flat in Ehrenfeld"."""
    match = re.match(
        r"^(?:an? )(?P<v>.*\b(?:flat|apartment|house|room|studio|garage|office|allotment)\b.*)$", clause.rest
    )
    if not match or clause.negated or not clause.subject.is_human or clause.tense == "future":
        return []
    what = values.cut(match["v"])
    return fact(clause, "rents", what, f"rents a {what}", "possession", many=True)


def _one(clause: Clause, text: str) -> list[Candidate]:
    text = values.cut(text)
    in_place = re.search(r" in [A-ZÄÖÜ]\w+$", text)
    what = values.thing(text.split(", ")[0]) if not re.search(r", an? [A-Z]", text) else text
    if in_place and what and not what.endswith(in_place[0]):
        what += in_place[0]
    return fact(clause, "owns", what, f"has a {what}", "possession", many=True) if what else []


def _parts(text: str) -> list[str]:
    return [
        part
        for part in re.split(r",? (?:and|und) (?=(?:an?|two|three|eine?n?|my|the) )|, (?=an? )", text)
        if part
    ]


def _is_lasting(text: str) -> bool:
    if not re.match(
        r"^(?:(?:an?|two|three|four|our|my|the|eine?n?|zwei|drei|some|this|another) )?[\w]", text, re.I
    ):
        return False
    text = values.thing(text) or text
    if re.search(
        r"\bflat (?:tyres?|tires?|batter\w+|white)\b|\b(?:puncture|haircut|discount|refund)\b", text, re.I
    ):
        return False
    if re.search(r"\bin the (?:freezer|fridge|oven|cupboard|pantry|bag|car)\b", text, re.IGNORECASE):
        return False
    if _TRIVIAL.search(text) and not _LASTING.search(text):
        return False
    return bool(_LASTING.search(text) or _BRANDS.search(text) or _MODEL.search(text))


RULES = {
    "drive": [drives],
    "ride": [drives],
    "lease": [drives],
    "have": [owns],
    "own": [owns],
    "buy": [buys],
    "get": [sells, buys],
    "purchase": [buys],
    "build": [buys],
    "sell": [sells],
    "give": [sells],
    "crash": [sells],
    "trade": [replaces],
    "replace": [replaces],
    "swap": [replaces],
    "rent": [rents],
}
