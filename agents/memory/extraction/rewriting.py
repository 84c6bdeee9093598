"""Sentences in a form that is more than one plain clause, put into plain ones before they are read."""

from __future__ import annotations

import re

from agents.memory.extraction import lexicon

_NOUNS = "|".join(
    sorted(map(re.escape, [*lexicon.SLOT_NOUNS, *lexicon.KIN, *lexicon.THINGS]), key=len, reverse=True)
)
_LINE = re.compile(
    rf"^(?:(?:my|our|the) )?(?P<noun>(?:[\w'-]+ ){{0,2}}?(?:{_NOUNS})(?: (?:of|at|for|in|vom|von|bei|"
    rf"der) (?:(?:the|my|our|"
    rf"unser\w*|mein\w*) )?[\w' -]{{2,40}})?)\s*(?::|=|->)\s*(?P<v>\S[^:=]{{0,70}})$",
    re.IGNORECASE,
)
"""A note of one line: "car: Audi A4", "policy number of our insurance: HR-99812"."""
_FORM_FIELDS = frozenset(
    "version size status room number domain ip title class lesson team client date".split()
)
"""Nouns that stand alone before a colon in data too."""
_FAVOURITE_LINE = re.compile(
    r"^(?P<noun>(?:fav(?:e|ou?rite)?|lieblings)\s?[\w -]{2,20}?)\s*[:=]\s*(?P<v>\S[^:=]{0,50})$", re.I
)
_CODE_LINE = re.compile(
    r"^(?P<noun>(?!(?:error|result|answer|total|step|line|question|example|exit|http|test|todo|task|output|"
    r"input|code)\b)"
    r"[a-zäöüß][\w-]*(?: [\w'-]+){1,3})\s*[:=]\s*(?P<v>[A-Z0-9][A-Z0-9./-]*\d[A-Z0-9./-]*)$",
    re.IGNORECASE,
)
"""A note with a number or a code: "printer toner: TN-2420"."""
_WAS_NOW = re.compile(
    r"^(?P<s>(?:my|our|the|[A-Z]\w+'s) [\w' -]{2,40}?) (?:used to be|was) (?P<old>[^,;]{1,40}?),?(?: but|"
    r" and|;)?,? "
    r"(?:now (?:it is |he is |she is )?|it is now |it is |(?:but )?(?:since|as of) [\w ]{3,20}? (?:it|he|"
    r"she) is )(?P<new>[^,;]{1,60})$",
    re.IGNORECASE,
)
_SET_TO = re.compile(
    r"^(?P<s>(?:(?:my|our|the|[A-Z]\w+'s) |(?=rent |price |deadline |"
    r"miete ))(?P<noun>[\w' -]{2,40}?)) (?:(?:has|have|had|was|is|were|are|got|"
    r"just|now|been|recently) )*"
    r"(?P<verb>changed|gone up|went up|gone down|went down|slipped|slid|increased|raised|rose|risen|dropped|"
    r"lowered|reduced|set|updated|"
    r"(?<=been )moved|(?<=was )moved|(?<=is )moved|(?<=got )moved|(?<=been )switched|postponed|"
    r"pushed(?: back)?|brought forward|"
    r"rescheduled|shifted)(?: from [^,;]{1,40}?)? (?:to|for|on|until) (?P<new>(?:[^,;]|,(?=\d)){1,60})$",
    re.IGNORECASE,
)
_MEETS_AT = re.compile(
    r"^(?P<s>(?:my|our|the) (?P<noun>[\w' -]{2,40}?)) (?:has |"
    r"have )?(?:just )?moved (?:from [^,;]{1,30}? )?to (?P<new>[^,;]{1,40})$",
    re.IGNORECASE,
)
_REPLACED = re.compile(
    r"^(?:(?:I|we) (?:have )?(?:just |recently )?(?:replaced|changed|swapped|switched) (?:my |our |"
    r"the )?(?P<a>[\w -]{2,30}?)"
    r"|(?:my|our|the) (?P<b>[\w -]{2,30}?) (?:has been|was|got|is) (?:replaced|"
    r"changed))\s*[:;,.–-]*,? (?:and )?(?:now )?"
    r"(?:it is|he is|she is|we have|I have|(?:my|the|our) new one is|I am with|"
    r"we are with) (?:now )?(?P<new>[^,;]{1,60}?)(?: now)?$",
    re.IGNORECASE,
)
_OTHER_NOW = re.compile(
    r"^(?:(?P<old>[^,;]{2,40}?) (?:is no longer|is not) (?P<a>(?:my|our) [\w -]{2,40}?)(?: any ?more|"
    r" any longer)?"
    r"|(?P<b>(?:my|our|the|[A-Z]\w+'s) [\w' -]{2,40}?) (?:is no longer|is not) [^,;]{2,40}?(?: any ?more|"
    r" any longer)?)"
    r"(?:[,;]? but |[,;] (?:but )?(?:now )?(?:it|he|she|that) is )(?:now )?(?P<new>[^,;]{1,60}?)(?: now)?$",
    re.IGNORECASE,
)
_SWITCHED = re.compile(
    rf"^(?:I|we) (?:have )?(?:just |recently )?(?:switched|changed|moved) (?P<s>(?:my|"
    rf"our) (?:{_NOUNS}))(?: from [^,;]{{1,40}})? to "
    r"(?P<new>[^,;]{1,40})$",
    re.IGNORECASE,
)
_RAISED = re.compile(
    r"^(?:I|we) (?:have )?(?:just |recently )?(?:raised|increased|lowered|reduced|updated|changed|set|cut) "
    r"(?P<s>(?:my|our|the) (?P<noun>[\w -]{2,30}?))(?: from [^;]{1,30}?)? to (?P<new>(?:[^,;]|"
    r",(?=\d)){1,40})$",
    re.IGNORECASE,
)
_NOT_BUT = re.compile(
    r"^(?P<front>(?:[^,]{0,40} )?)(?P<s>ich|wir|er|sie)? ?(?P<no>nicht mehr|nicht) (?P<p1>bei|in|an|"
    r"mit) (?P<old>[^,]{1,40}),? "
    r"sondern (?:jetzt )?(?P<p2>bei|in|an|mit) (?P<new>.{1,40})$",
    re.IGNORECASE,
)
_NEW_ONE = re.compile(
    r"^(?:(?:I|we|ich|wir) (?:have |has |had |just |finally |habe |haben )*)?(?:got|have|get|bought|"
    r"bekommen|habe|changed to) "
    r"(?:an? |eine? |einen )?(?:new|neue[nrs]?) (?P<noun>(?:(?! at | for |"
    r" in )[\w' -]){2,30}?)(?:,? (?:it is|which is|namely)|[:,]) (?:now )?"
    r"(?P<v>(?-i:[A-ZÄÖÜ\d+(])[^,;]{1,50}|[\w.+-]+@[\w.-]+)$",
    re.IGNORECASE,
)
"""A new value of a slot: "got a new number: 0171 555"."""
_SOMEONE = re.compile(
    r"^(?P<s>(?:I|we) (?:am|are) (?:seeing|dating)) (?:someone|somebody|a (?:guy|girl|man|"
    r"woman))(?: new)?[,;.]? (?:and )?"
    r"(?:(?:his|her|their) name is|(?:he|she) is called|called|named) (?P<v>[A-ZÄÖÜ][\w'-]+)\b.*$",
    re.IGNORECASE,
)
_DOWN_TO = re.compile(
    r"^(?:I|my weight) (?:am|is|have|has|went|gone|got|dropped|just)(?: (?:gone|got|now|just))* (?:down|"
    r"up) to "
    r"(?P<v>\d[\d.,]* ?(?:kg|kilos?|lbs?|pounds|stone)\b.*)$",
    re.IGNORECASE,
)
_NUMBER_OF = re.compile(
    r"^(?P<s>.{3,60}?),? (?:erreichbar|zu erreichen|reachable|contact(?:able)?|available) (?:unter|auf|on|"
    r"at|via) (?P<v>[\d+(][\d ()/-]{5,})$",
    re.IGNORECASE,
)
_THE_ONE_I = re.compile(
    r"^[Tt]he (?P<noun>[\w -]{3,30}?) (?:that |who |which )?(?:I|we) (?:currently |usually |always |"
    r"now )?(?:see|attend|go to|use|have|visit|"
    r"work with|bank with|drive|take|wear|read|live in|belong to|support|play for|train at|"
    r"shop at) is (?:called |now )?"
    r"(?P<v>[A-ZÄÖÜ\d].{1,90})$"
)
_NEW_THING = re.compile(
    r"^(?:(?:I|we) (?:have |just |finally )*)?(?:picked up|collected|bought|got|took delivery of|"
    r"ordered) (?:my|our) new "
    r"(?P<noun>[\w -]{2,20}?)(?: today| yesterday| last week)?[,:] (?:it is )?(?P<v>an? [^,;]{2,40})$",
    re.IGNORECASE,
)
_REACH = re.compile(
    r"^(?:(?:you|people|they|anyone) can )?(?:best )?(?:reach|call|ring|phone|text|contact|email|e-mail|"
    r"whatsapp) me (?:best )?(?:on|at|under|via) "
    r"(?P<v>(?P<tel>[+(]?\d[\d ()/-]{5,}\d)|[\w.+-]+@[\w.-]+\w)\b.*$",
    re.IGNORECASE,
)
_ONE_AND_OTHER = re.compile(
    r"^(?P<s>.*\b(?P<kin>cats|dogs|sons|daughters|brothers|sisters|kids|children|rabbits|horses|nephews|"
    r"nieces)), (?:one (?:is )?(?:called|named) |called |named )?"
    r"(?P<a>[A-ZÄÖÜ]\w+),? (?:and |, )+(?:the other|another)(?: one)?(?: is)?(?: called|"
    r" named)? (?P<b>[A-ZÄÖÜ]\w+)$"
)
_ENDS_ON = re.compile(
    r"^(?P<s>(?:my|our|the|mein\w*|unser\w*) (?P<noun>(?:[\w-]+ )?(?:lease|contract|warranty|guarantee|"
    r"passport|visa|insurance|mot|subscription|"
    r"membership|tenancy|probation|trial|licen[cs]e|mietvertrag|vertrag|reisepass|ausweis|"
    r"garantie))) (?:is up|is due|ends|expires|runs out|"
    r"is valid until|runs until|is due for renewal|läuft|läuft ab|endet|gilt bis)(?: (?:on|in|until|at|am|"
    r"im|bis|at the end of))* (?P<v>.*\d.*|[A-Z]\w+(?: \d{4})?)$",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r", (?:in case|by the way|btw|if you|just so|for what|should you|as i said|as you know|you know|"
    r"i think you|just in case)[^,]*, (?=(?:is|are|was|has) )",
    re.IGNORECASE,
)
_OF_NAME = re.compile(
    r"^(?P<noun>[A-ZÄÖÜ]?[\wäöüß -]{3,25}?) (?:of|von|vom|for|"
    r"für) (?P<name>[A-ZÄÖÜ]\w+)\s*[:=]\s*(?P<v>\S.{0,30})$"
)
_APPOSED = re.compile(
    r"^(?P<s>(?:I am|we are|ich bin) .{3,60}?), (?P<more>(?:widowed|divorced|married|single|engaged|"
    r"separated|retired|vegan|vegetarian|"
    r"pescatarian|coeliac|diabetic|allergic to [^,]+|verwitwet|geschieden|verheiratet|"
    r"ledig)\b[^,]*)(?P<rest>.*)$",
    re.IGNORECASE,
)
_ALSO_ON = re.compile(
    r"^(?P<s>(?:(?P<i>I)|he|she|my \w+|[A-Z]\w+) .{4,80}?),? (?:and |so )?(?:(?:am|"
    r"is) )?on (?P<v>(?:\w+ ){0,1}(?:statins|insulin|blood thinners|"
    r"beta blockers|antidepressants|steroids|tablets|\w+(?:pril|statin|olol|artan|formin|xaban|pine|"
    r"azole)))(?: for (?:it|that|them))?$",
    re.IGNORECASE,
)
_THEY_SET = re.compile(
    r"^(?:they|the (?:boss|client|team|school|landlord|company|professor|office|organisers?)|my \w+|he|"
    r"she) (?:have |has |had |just )*(?:extended|moved|pushed(?: back)?|"
    r"postponed|changed|raised|increased|reduced|lowered|cut|put up|shifted|brought forward|"
    r"upped) (?P<s>(?:the|my|our) [\w -]{2,30}?)"
    r"(?: from [^,;]{1,30}?)? to (?P<new>(?:[^,;]|,(?=\d)){1,40})$",
    re.IGNORECASE,
)
_REMOTE = re.compile(
    r"\b(?P<s>I am|he is|she is) (?:\w+ )?(?:fully )?(?:remote|freelancing|contracting|consulting|interning|"
    r"temping)(?: now)? (?:with|for|at) "
    r"(?P<v>[A-ZÄÖÜ][\w&.' -]*)$"
)
_WITH_PLATE = re.compile(
    r"^(?P<s>.*\b(?:car|van|bike|drive|drives|auto|wagen|fahre|"
    r"fährt)\b.*?),? (?:and )?(?:with )?(?:the )?(?:licen[cs]e )?(?:plates?|reg|"
    r"registration|kennzeichen)(?: number)?(?: is| ist|"
    r":)? (?P<v>(?=[A-Z0-9ÄÖÜ -]*\d)[A-Z0-9ÄÖÜ][A-Z0-9ÄÖÜ -]{3,})$",
    re.IGNORECASE,
)
_AT_SCHOOL = re.compile(
    r"^(?P<s>.{1,40}?) (?:am|is|are) at (?P<where>[A-ZÄÖÜ][\w' -]*?(?:Uni|University|College|Poly|School)|"
    r"uni|university|college)"
    r"(?: in [A-ZÄÖÜ]\w+)?,? (?:studying|doing|reading) (?P<what>.+)$"
)
_CONTRAST = re.compile(r", (?:and )?not (?!only\b|just\b|so\b|very\b|too\b|really\b|that\b)[^,]{1,40}$")
_ARTICLE_NAME = re.compile(
    r"^(ich bin|mein name ist|ich heiße) (?:der|die) (?=[A-ZÄÖÜ][a-zäöüß]+\b)", re.IGNORECASE
)


def plain_clauses(sentence: str) -> list[str]:
    """Return what a sentence says as sentences of one form; itself when it has that already.

    "My favourite film used to be Titanic, now it is Arrival" says that it is Arrival;
    "ich arbeite nicht mehr bei der Bahn, sondern bei Züblin" ends one thing and begins another.
    """
    sentence = _ASIDE.sub(" ", sentence)
    if match := _ALSO_ON.match(sentence):
        they = "I am" if match["i"] else "she is" if match["s"].startswith("she") else "he is"
        return [match["s"], f"{they} on {match['v']}"]
    if match := _THEY_SET.match(sentence):
        return [f"{match['s']} is {match['new']}"]
    if match := _REMOTE.search(sentence):
        before = sentence[: match.start()].strip(" ,")
        return [
            *([before] if before else []),
            f"{match['s'].replace(' am', '').replace(' is', '')} works for {match['v']}".replace(
                "I works", "I work"
            ),
        ]
    if match := _THE_ONE_I.match(sentence):
        return [f"my {match['noun']} is {re.split(r', | over | at (?:the|St)| in (?=[A-Z])', match['v'])[0]}"]
    if match := _NEW_THING.match(sentence):
        return [f"my {match['noun']} is {match['v']}"]
    if match := _REACH.match(sentence):
        return [f"my {'phone number' if match['tel'] else 'email'} is {match['v']}"]
    if match := _ONE_AND_OTHER.match(sentence):
        return [f"{match['s']} called {match['a']} and {match['b']}"]
    if match := _ENDS_ON.match(sentence):
        return [f"{match['s']} expiry is {match['v']}"]
    if (match := _OF_NAME.match(sentence)) and match["noun"].casefold() in lexicon.SLOT_NOUNS:
        return [f"{match['name']}'s {match['noun']} is {match['v']}"]
    if match := _APPOSED.match(sentence):
        who = re.match(r"\w+ \w+", match["s"])
        return [f"{match['s']}{match['rest']}", f"{who[0] if who else 'I am'} {match['more']}"]
    if match := _WITH_PLATE.match(sentence):
        is_german = re.search(r"kennzeichen", sentence, re.IGNORECASE)
        plate = f"mein Kennzeichen ist {match['v']}" if is_german else f"my car's plate is {match['v']}"
        return [*plain_clauses(match["s"]), plate]
    if (match := _LINE.match(sentence)) and match["noun"].casefold() not in _FORM_FIELDS:
        return _noted(match["noun"], match["v"])
    if match := _FAVOURITE_LINE.match(sentence):
        noun = re.sub(r"^fave?(?= )", "favourite", match["noun"], flags=re.IGNORECASE)
        return [f"my {noun} is {match['v']}"]
    if (match := _CODE_LINE.match(sentence)) and re.search(r"\d{4}|[A-Z].*\d.*\d|-", match["v"]):
        return [f"my {match['noun']} is {match['v']}"]
    if match := _NEW_ONE.match(sentence):
        is_kin = match["noun"].casefold() in lexicon.KIN
        return [f"my {'' if is_kin else 'new '}{match['noun']} is {match['v']}"]
    if match := _SOMEONE.match(sentence):
        return [f"{match['s']} {match['v']}"]
    if match := _DOWN_TO.match(sentence):
        return [f"my weight is {match['v']}"]
    if match := _NUMBER_OF.match(sentence):
        who = re.match(r"^(?P<who>.+?) (?:ist|is) .+$", match["s"])
        return [match["s"], *([f"{who['who']}'s phone number is {match['v']}"] if who else [])]
    if match := _AT_SCHOOL.match(sentence):
        where = match["where"]
        return [
            *([f"{match['s']} goes to {where}"] if where[0].isupper() else []),
            f"{match['s']} studies {match['what']}",
        ]
    if match := _WAS_NOW.match(sentence):
        return [f"{match['s']} is {match['new']}"]
    if match := _OTHER_NOW.match(sentence):
        return [f"{match['a'] or match['b']} is {match['new']}"]
    if match := _SWITCHED.match(sentence):
        return [f"{match['s']} is {match['new']}"]
    if (match := _RAISED.match(sentence)) and match["noun"].split()[-1].casefold() not in lexicon.KIN:
        return [f"{match['s']} is {match['new']}"]
    if match := _REPLACED.match(sentence):
        noun = (match["a"] or match["b"]).casefold()
        singular = noun[:-1] if noun.endswith("s") and not noun.endswith("ss") else noun
        return [f"my {singular if match['a'] else noun} is {match['new']}"]
    if (match := _MEETS_AT.match(sentence)) and lexicon.SLOT_NOUNS.get(
        match["noun"].casefold()
    ) in lexicon.DATED_NOUNS:
        return [f"{match['s']} is {match['new']}"]
    if (match := _SET_TO.match(sentence)) and match["noun"].split()[-1].casefold() not in lexicon.KIN:
        return [f"{match['s']} is {match['new']}"]
    if match := _NOT_BUT.match(sentence):
        front = f"{match['front']}{match['s'] or ''}".strip()
        ends = f"{front} {match['no']} {match['p1']} {match['old']}"
        begins = f"{front} {match['p2']} {match['new']}"
        return [ends, begins] if match["no"].casefold() == "nicht mehr" else [begins]
    return [_ARTICLE_NAME.sub(r"\1 ", _CONTRAST.sub("", sentence))]


def _noted(noun: str, value: str) -> list[str]:
    last = noun.casefold()
    is_thing = any(last == word or last.endswith(f" {word}") for word in lexicon.THINGS)
    parts = value.split(", ")
    if is_thing and not re.match(r"^(?:an?|the|my) ", value):
        return [f"my {noun} is a {parts[0]}"]
    if parts[0] and last in lexicon.KIN and len(parts) == 2 and parts[1].islower():
        return [f"my {noun} is {parts[0]}", f"{parts[0]} is a {parts[1]}"]
    return [f"my {noun} is {value}"]
