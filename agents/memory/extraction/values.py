"""Cutting a value out of what follows a verb, and saying whether it can be one."""

from __future__ import annotations

import re

from agents.memory.extraction.common_words import COMMON

_TAIL = re.compile(
    r"(?:,? (?:but|not|nicht|together|zusammen|because|so that|so|which|who|whose|where|when|while|if|"
    r"until (?:i|we|he|she|they)|"
    r"although|though|since|thanks|please|however|"
    r"as well|too|again|instead|either|anyway|by now|now|then|today|here|there|already|yet|right|ok|okay|"
    r"haha|lol|weil|aber|"
    r"damit|stattdessen|jetzt|nun|hier|dort|and (?:i|we|my|it|he|she|they|would|need|want|can|so|the|that|"
    r"you|not)|in case|in order|to be|que|wobei|obwohl|um)\b.*|"
    r", (?:(?:the |my |our |his |her )?\w+ )?(?:is|was|are|were|has|had|tastes?|think|thinks|called|"
    r"named) .*|"
    r", (?:put|keep|save|last time|next time|this time|every time|nur|only|except|especially|note|write|"
    r"remember|please|store|add|jot|merk|schreib|notier|trag|keine ahnung|no idea|"
    r"believe|would you|isn't|aren't|right|ok|been|got|going|still waiting)\b.*|\s*(?:[;(]|:(?!\d)).*|"
    r"\s+[-–—]+\s.*|"
    r"\s*\ufffc.*)$",
    re.IGNORECASE,
)
_ARTICLE = re.compile(
    r"^(?:a|an|the|some|any|my|our|his|her|their|your|eine?[nmrs]?|der|die|das|den|dem|unser\w*|mein\w*|"
    r"another|one)\s+",
    re.IGNORECASE,
)
_VAGUE = re.compile(
    r"^(?:it|this|that|these|those|them|him|her|you|me|us|one|ones|everything|something|nothing|anything|"
    r"someone|all|both|"
    r"what\w*|how|there|here|things?|stuff|a lot|much|many|more|most|same|so|such|home|fun|way|time|life|"
    r"idea|ideas|your .*|"
    r"the (?:idea|way|fact|answer|first|second|last|other|same|one|result|sound|look|moment|following|"
    r"thing|whole|day|night|"
    r"suggestion|design|new one|old one).*|the .* (?:one|option|version|answer|suggestion)|moments?.*|"
    r"how .*|when .*|to .*|dass .*|das|dies.*|es|ihn|ihr|dich|mich|alles|nichts|etwas|option .*|"
    r"lieber|gern|you.*|every .*)$",
    re.IGNORECASE,
)


def cut(text: str) -> str:
    """Return a value without what only follows it."""
    text = _TAIL.sub("", f" {text} ".rstrip()).strip()
    return text.strip(" ,.;:!?\"'")


def bare(text: str) -> str:
    """Return a value without its article."""
    return _ARTICLE.sub("", text.strip(), count=1)


def is_vague(text: str) -> bool:
    """Say whether a value says nothing by itself."""
    return not re.search(r"\w", text) or bool(_VAGUE.match(text.strip()))


def place(text: str) -> str:
    """Return the place that a text begins with; empty when it names none."""
    text = cut(text)
    text = (
        re.sub(
            r",? (?:with|for|to|as|since|until|near|close to|at|and|mit|und|seit|together|by|over the|this|"
            r"last|because|after)\b.*$",
            "",
            text,
            flags=re.I,
        )
        if not (re.match(r"^a (?:small |little |tiny )?(?:village|town|suburb|farm)", text))
        else text
    )
    inside = re.match(
        r"^(?:(?:a|an|the|this|my|our|eine[rm]?|einem) )(?:[\w-]+ ){0,3}(?:house|flat|apartment|studio|"
        r"condo|cottage|bungalow|place|wg|"
        r"loft|home|room|duplex|wohnung|haus|maisonette|neighbourhood|neighborhood|area|part|district|"
        r"outskirts|suburbs?|centre|center|city) "
        r"(?:in|near|of|at|outside|on) (?P<where>.+)$",
        text,
        re.IGNORECASE,
    )
    if inside:
        text = inside["where"]
    text = re.sub(
        r"^(?:downtown|central|beautiful|sunny|rainy|lovely|good old|the city of|the town of|der nähe von) ",
        "",
        text,
        flags=re.I,
    )
    parts = text.split(", ")
    if len(parts) > 1 and not (
        len(parts) == 2 and re.fullmatch(r"[A-ZÄÖÜ][\w. ]+", parts[1]) and len(parts[1].split()) <= 3
    ):
        text = parts[0]
    if re.match(r"^eine[rm]? ", text) or re.fullmatch(
        r"(?:an?|the|our|my) (?:rental|shared house|flatshare|wg|hostel|airbnb)", text, re.I
    ):
        return ""
    count = len(text.split())
    if (
        not text
        or count > 7
        or is_vague(text)
        or (re.search(r"\d{3,}", text) and not re.search(r"[A-Z]", text))
    ):
        return ""
    if re.search(r"[A-ZÄÖÜ](?!$| )", text):
        return text if not re.match(r"^(?:I|My|The moment)\b", text) else ""
    if count <= 2 and text.islower() and not any(word in COMMON for word in text.split()):
        return (
            text
            if not re.match(
                r"(?:peace|fear|harmony|hope|sin|poverty|luxury|denial|chaos|pain|bed|shape|mind)", text
            )
            else ""
        )
    return ""


def organisation(text: str) -> str:
    """Return the employer or school that a text begins with; empty when it names none."""
    text = cut(text)
    text = re.sub(
        r",? (?:as|since|until|with|doing|and|where|als|und|full[- ]time|part[- ]time|in (?:the|their) \w+ "
        r"(?:department|team))\b.*$",
        "",
        text,
        flags=re.I,
    )
    text = re.sub(
        r"^(?:an? |the |einer? )(?:[\w-]+ ){0,3}?(?:company|firm|start-?up|agency|business|shop|store|"
        r"school|clinic|"
        r"hospital|bakery|restaurant|caf[eé]|bank|firma) (?:called|named|namens) ",
        "",
        text,
        flags=re.I,
    )
    text = text.split(", ")[0]
    low = text.casefold()
    if (
        not text
        or len(text.split()) > 7
        or is_vague(text)
        or re.match(r"(?:mein|dein|unser|sein|ihr)\w*\b", low)
    ):
        return ""
    if re.match(
        r"^(?:some|several|many|various|other|two|three|people|friends|home|night|nights|least|most|all|"
        r"first|once|work|myself|my own|that|this|it|hours?|\d+|me|"
        r"free|fun)\b",
        low,
    ):
        return ""
    return bare(text) if re.match(r"^(?:an?|the|eine[rm]?)\s", text, re.I) else text


def thing(text: str) -> str:
    """Return a thing that is owned, without its article."""
    text = cut(text)
    text = re.sub(
        r",? (?:from|for|with|at|to|that|and|since|on|last|by|von|für|mit|und|über|to replace)\b.*$",
        "",
        text,
        flags=re.I,
    )
    text = bare(
        re.sub(
            r"^(?:a |an )?(?:brand[- ]new|new|used|second[- ]hand|shiny|nice|beautiful|lovely|neue[nrs]?|"
            r"gebrauchte[nrs]?) ",
            "",
            bare(text),
            flags=re.I,
        )
    )
    return "" if is_vague(text) or len(text.split()) > 7 else text


def topic(text: str) -> str:
    """Return what is liked, studied or done."""
    text = cut(text)
    text = re.sub(
        r",? (?:starting|with (?:my|our|the|friends|a|an)|in (?:a|an|the|our|my|his|her)|for (?:a|the|fun)|"
        r"at (?:the|school|work|uni)|since|lately|recently|very much|so much|a lot|more than \w+|sehr|very|"
        r"at all|the "
        r"most|in the (?:morning|evening)s?|on (?:my|the) \w+)\b.*$",
        "",
        text,
        flags=re.I,
    )
    text = re.sub(
        r"^(?:a bit of|a little|some|all kinds? of|any kind of|any|really|gern|sehr|so|einfach)\s+",
        "",
        text.strip(),
        flags=re.I,
    )
    return "" if is_vague(text) or len(text.split()) > 6 else text


def listed(text: str) -> list[str]:
    """Return the parts of an enumeration."""
    text = re.sub(r"^both\s+", "", text.strip())
    parts = re.split(
        r"\s*,(?!\d)\s*(?:(?:and|und|as well as)\s+)?|\s+(?:and|und|&|as well as|plus|sowie)\s+(?:also\s+)?",
        text,
    )
    return [part.strip() for part in parts if part.strip()]


_JOB_WORDS = re.compile(
    r"(?:\b(?:paralegal|barrister|bookkeeper|radiographer|sonographer|registrar|midwife|vicar|pastor|imam|"
    r"rabbi|jeweller|upholsterer|glazier|"
    r"bricklayer|scaffolder|stonemason|bricky|sparky|lecturer|dispatcher|concierge|caterer|optometrist|"
    r"chiropractor|osteopath|actuary|"
    r"auditor|recruiter|underwriter|illustrator|animator|copywriter|tester|scrum master|product owner|"
    r"data scientist|nanny|childminder|"
    r"schoolteacher|headteacher|headmaster|principal|dean|logistician|purchaser|buyer|merchandiser|"
    r"sommelier|brewer|"
    r"grafikerin|grafiker|buchhalterin?|controllerin?|juristin?|apothekerin?|logopädin|optikerin?|schlosser|"
    r"maurer|dachdecker|"
    r"zimmermann|zimmerer|spengler|installateur|maler|gärtnerin?|kellnerin?|sachbearbeiterin?|sekretärin|"
    r"zahnärztin|tierärztin|"
    r"psychologin|sozialarbeiterin|nurse|chef|cook|doctor|physician|surgeon|vet|dentist|clerk|judge|pilot|"
    r"priest|monk|nun|guard|"
    r"guide|agent|attorney|coach|"
    r"professor|lecturer|tutor|student|pupil|trainee|apprentice|intern|postdoc|carpenter|plumber|mechanic|"
    r"technician|architect|analyst|"
    r"assistant|consultant|accountant|scientist|artist|journalist|therapist|pharmacist|stylist|musician|"
    r"magician|politician|librarian|"
    r"electrician|beautician|paramedic|midwife|housewife|stay-at-home \w+|homemaker|freelancer|"
    r"entrepreneur|ceo|cto|cfo|dj|au pair|"
    r"director|sailor|tailor|actor|actress|waitress|waiter|bartender|barista|banker|lawyer|soldier|"
    r"firefighter|fireman|policeman|"
    r"policewoman|police officer|officer|postman|mailman|salesman|saleswoman|fisherman|craftsman|"
    r"businessman|businesswoman|"
    r"physiotherapist|geologist|biologist|researcher|gp|sysadmin|admin|administrator|devops|phd student|"
    r"programmer|dev|coder|florist|"
    r"receptionist|secretary|broker|butcher|blacksmith|smith|locksmith|undertaker|model|author|poet|"
    r"krankenschwester|pfleger|arzt|ärztin|kaufmann|kauffrau|hausfrau|fachkraft|verkäuferin?|koch|köchin|"
    r"anwalt|anwältin|azubi|beamter|beamtin|"
    r"friseurin?|bäcker|tischler|erzieherin?|hebamme|ingenieurin?|elektriker|mechatroniker|informatiker|"
    r"schreiner|postbote|bauer)"
    r"|\w{2,}(?<!\bb)(?<!\bd)(?<!\bcar)eer|\w*(?:ologist|ographer|icist|ician|iatrist|grapher|keeper|maker|"
    r"designer|developer|engineer|"
    r"teacher|writer|driver|"
    r"manager|worker|painter|baker|farmer|gardener|builder|singer|dancer|trainer|editor|doctor|operator|"
    r"inspector|instructor|"
    r"contractor|curator|translator|educator|conductor|professor|counsellor|counselor|adviser|advisor|"
    r"planner|photographer|hunter|"
    r"plasterer|roofer|welder|programmer|teller|dealer|seller|cleaner|carer|caregiver|drummer|producer|"
    r"reporter|optician|dietitian|"
    r"biologist|chemist|physicist|economist|dentist|cashier|courier|specialist|representative|executive|"
    r"coordinator|assistant|"
    r"supervisor|owner of .+|arbeiter|lehrer(?:in)?|entwickler(?:in)?|berater(?:in)?|techniker(?:in)?|"
    r"fahrer(?:in)?|\w{3,}erin|meister(?:in)?|leiter(?:in)?|"
    r"bauer|sanitäter(?:in)?|pfleger(?:in)?|therapeut(?:in)?|wissenschaftler(?:in)?|händler(?:in)?|"
    r"künstler(?:in)?|"
    r"mechaniker(?:in)?|helfer(?:in)?|redakteur(?:in)?))$",
    re.IGNORECASE,
)


def job(text: str, *, is_certain: bool = False) -> str:
    """Return a profession; ``is_certain`` where the words before it leave no other reading ("works as")."""
    text = cut(text)
    text = re.sub(
        r"^(?:by (?:profession|trade|training))[ ,]*|[ ,]+by (?:profession|trade|training)$",
        "",
        text,
        flags=re.I,
    )
    text = re.sub(
        r",? (?:(?:of an?|at|for|in|with|from|by|on|and|since|to|during|specialising|specializing|bei|für|"
        r"und|im|"
        r"there|now|these days)\b|,).*$",
        "",
        text,
        flags=re.I,
    )
    text = bare(text.split(",")[0]).strip()
    text = re.sub(r"^\d{1,3}[- ]years?[- ]old | (?:living|based|working|who)$", "", text)
    if not text or len(text.split()) > 5 or is_vague(text):
        return ""
    if re.search(
        r"\b(?:fan|lover|slow|fast|bad|good|terrible|big|huge|bit|little|lot|better|great)\b", text, re.I
    ):
        return ""
    return text if is_certain or _JOB_WORDS.search(text) else ""
