"""From a turn's text to sentences, and from sentences to clauses in a plain form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from agents.memory.extraction import casual

LONGEST_CHARS = 600
"""A longer sentence is no statement that rules could read."""
Language = Literal["en", "de"]

_GERMAN = re.compile(
    r"\b(?:ich|nicht|und|mein\w*|unser\w*|ist|bin|wir|der|die|das|den|dem|ein|eine|einen|einem|einer|habe|"
    r"haben|hat|bei|beim|seit|wie|mit|für|"
    r"auf|heißt|heiße|mag|wohne|wohnt|sind|kein\w*|dass|aber|auch|nein|ja|merk|dir|nach|zu|er|sie|im|von|"
    r"zum|zur|jetzt|sehr|gerne?)\b|[äöüß]",
    re.IGNORECASE,
)
_ENGLISH = re.compile(
    r"\b(?:i|not|and|my|is|are|we|the|a|an|have|has|at|since|with|for|on|like|live|lives|that|but|also|no|"
    r"yes|to|of|our|he|she|it|was|"
    r"you|works?|from|her|his)\b",
    re.IGNORECASE,
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|sr|jr|e\.g|i\.e|etc|vs|no|approx|z\.b|bzw|ca|usw|nr|str|hr|fr|inc|ltd|"
    r"co|dept|"
    r"jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|a\.m|p\.m|u\.a|d\.h|min|tel|geb|dipl|ing)|"
    r"(?<!['’])\b[A-Za-z]|(?<![\d.])\d{1,2})$",
    re.IGNORECASE,
)
_END = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)|\n+|(?<=\w)…(?=\s|$)")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+")
_CONTRACTIONS: tuple[tuple[str, str], ...] = (
    (r"\bi['’]?m\b", "I am"),
    (r"\bi['’]ve\b|\bive\b", "I have"),
    (r"\bi['’]ll\b", "I will"),
    (r"\bi['’]d\b", "I would"),
    (r"^been (?=\w)", "I have been "),
    (r"^names?(?: is|['’]s) (?=\w)", "my name is "),
    (r"\bnow (?:i am|we are|i'?m|we'?re) in (?=\w)", "now I live in "),
    (
        r"^(kids|children|sons|daughters|brothers|sisters|cats|dogs|pets|siblings)(?::| [=–-]) ?",
        r"my \1 are ",
    ),
    (
        r"\b(number|insurance|policy|customer|order|serial|account|phone) ?no\b\.?(?=[ :])|\bno\.(?= of|"
        r" for)",
        r"\1 number",
    ),
    (r"^(?:aged? )(\d{1,2})$", r"I am \1"),
    (
        r"^(wife|husband|son|daughter|brother|sister|mother|father|dog|cat|girlfriend|boyfriend|partner|"
        r"boss): ",
        r"my \1 is ",
    ),
    (
        r"^(?:just |recently |finally )*(?=(?:moved|bought|sold|started|switched|quit|joined|graduated|"
        r"adopted|retired (?:in|last|at)|married|live in|work (?:at|for|as)|used to|"
        r"grew up|drive an? |drive my|can['’]?t stand|don['’]?t (?:eat|drink|like)|do not (?:eat|drink|"
        r"like)|suffer from|hate |"
        r"have (?:two|three|four|five|\d) (?:kids|children|sons|daughters|brothers|sisters|siblings|cats|"
        r"dogs)|speak \w+ and)\b)",
        "I ",
    ),
    (
        r"^(?=(?:allergic to|originally from|born (?:in|on)|based in|living in|working (?:as|at|for) |"
        r"divorced|vegan|vegetarian|married "
        r"(?:to|with)|lactose intolerant)\b)",
        "I am ",
    ),
    (r"\b(we|they|you)['’]re\b", r"\1 are"),
    (r"\btheyre\b", "they are"),
    (r"\b(we|they|you)['’]?ve\b", r"\1 have"),
    (r"\b(we|they|you|he|she|it|that)['’]ll\b", r"\1 will"),
    (r"\b(we|they|you|he|she)['’]d\b", r"\1 would"),
    (r"\bcan['’]?t\b|\bcannot\b", "can not"),
    (r"\bwon['’]t\b", "will not"),
    (r"\b(do|does|did|is|are|was|were|have|has|had|would|could|should)n['’]?t\b", r"\1 not"),
    (r"\b(he|she)s\b", r"\1 is"),
    (
        r"\b(he|she|it|that|there|who|here|what|where)['’]s (?=(?:got|been|had|just|lived|worked|moved)\b)",
        r"\1 has ",
    ),
    (r"\b(he|she|it|that|there|who|here|what|where)['’]s\b", r"\1 is"),
    (r"\b(name|names)['’]s\b", r"\1 is"),
    (r"(\w+)['’]s (?=(?:got|been)\b)", r"\1 has "),
    (
        r"(\w+)['’]s (?=(?:a|an|no longer|back|still|called|named|allergic|vegetarian|vegan|living|working|"
        r"studying|gluten|dairy|coeliac|celiac|diabetic|asthmatic|pescatarian|single|married|divorced|"
        r"retired|"
        r"moved|vegetarian|turned|into|now|from|in|on|"
        r"at|turning|"
        r"getting|the|lactose|pregnant|my|our|\d+)\b(?! birthday))",
        r"\1 is ",
    ),
    (r"(\w+) got (?=(?:a|an|two|three|four)\b)", r"\1 got "),
    (r"\bgonna\b", "going to"),
    (r"\bu\b", "you"),
)
_EXPANSIONS = tuple((re.compile(pattern, re.IGNORECASE), to) for pattern, to in _CONTRACTIONS)
_LEAD = re.compile(
    r"^(?:(?:(?:howdy|yo|hiya|greetings|merhaba|bonjour|hola|ciao|grüezi|salut|aloha|hi|hello|hey|hallo|"
    r"moin|servus|good (?:morning|evening|afternoon|day)|guten (?:tag|morgen|abend)|oh|ah|well|so|ok|"
    r"okay|"
    r"yes|yeah|yep|no|nope|nein|ja|right|sure|thanks|thank you|thx|great|cool|nice|hmm|hm|um|uh|anyway|"
    r"anyways|actually|"
    r"by the way|btw|fyi|for your information|just so you know|just to let you know|you know|you see|look|"
    r"listen|"
    r"to be honest|honestly|tbh|frankly|in fact|as a matter of fact|as i said|as you know|like i said|fun "
    r"fact|funny story|"
    r"correction|korrektur|sorry|my mistake|my bad|scratch that|wait|wait no|no wait|oops|quick update|"
    r"small update|update|news|good news|bad news|big news|guess what|believe it or not|"
    r"for reference|for context|some context|context for you|context|background|a bit about me|about me|"
    r"little about me|speaking of "
    r"which|speaking of that|"
    r"incidentally|also|and|but|plus|besides|additionally|furthermore|moreover|then|finally|first|second|"
    r"now|nowadays|currently|first of all|one more thing|another thing|oh and|unfortunately|sadly|luckily|"
    r"fortunately|happily|"
    r"übrigens|also|und|aber|na ja|naja|tja|ach|außerdem|zur info|leider|zum glück|endlich|eigentlich|"
    r"nebenbei|"
    r"well since you(?: are|'re)? ask(?:ed|ing)|since you(?: are|'re)? ask(?:ed|ing)|since you asked|if "
    r"you must know|"
    r"in case you(?: are|'re)? wondering|in case it (?:helps|matters)|for the record|important|mind you|"
    r"before that|after that|until then|back then|since then|these days|my situation|long story short|in "
    r"short)(?: there| again| everyone| all| guys| zusammen)?\s*(?:[,:;!.–—-]+\s*|\s+(?=(?:i|my|we|our|"
    r"he|she|ich|wir|mein\w*|unser\w*|meine|the)\b)))"
    r"|(?:(?:i )?(?:also )?(?:should|must|wanted to|want to|have to|forgot to|just wanted to|can)(?: also| "
    r"just)? "
    r"(?:tell you|mention|say|add|let you know|point out|note)(?: that| you)?,? )"
    r"|(?:did i (?:mention|tell you)(?: that)?|you should know(?: that)?|you (?:may|might|can|need to|have "
    r"to) know(?: that)?|"
    r"let me tell you(?: that)?|i can tell you(?: that)?|it turns out(?: that)?|turns out(?: that)?|the "
    r"thing is(?: that)?,?|"
    r"i(?: have|'ve) (?:already )?(?:told|mentioned)(?: to)?(?: you)?(?: that)?|the reason is(?: that)?,?|"
    r"i(?: am|'m) (?:happy|glad|proud|pleased|sad|sorry) to (?:say|report|announce|tell you)(?: that)?|"
    r"can you believe(?: that)?|du musst wissen,? dass|ich wollte (?:nur )?sagen,? dass|the fact is(?: "
    r"that)?) )+",
    re.IGNORECASE,
)
_FALSE_START = re.compile(
    r"^(?:(?:so|ok|okay|hi|hello|hey|um|uh|erm|yeah|yes|oh|ah|well|right|and|anyway|basically|honestly|"
    r"actually|like|look|"
    r"listen|dear|there|also|ähm|also|ja|na|hallo|hi)[ ,]+){2,}(?=(?:i|we|my|our|ich|wir|mein\w*|"
    r"unser\w*)\b)",
    re.IGNORECASE,
)
_FILLERS = (
    r"(?:by the way|btw|actually|currently|presently|at present|at the moment|right now|these days|"
    r"nowadays|basically|"
    r"really|truly|also|still|just|already|finally|officially|happily|proudly|mostly|mainly|simply|totally|"
    r"absolutely|"
    r"definitely|literally|kind of|sort of|obviously|of course|to be honest|tbh|unfortunately|sadly|fyi|as "
    r"you know|"
    r"originally|generally|typically|though|you know|i admit|i confess|i must say|i have to say|too|as "
    r"well(?! as\b)|haha|lol|"
    r"übrigens|gerade|derzeit|momentan|aktuell|zurzeit|zur zeit|auch|eigentlich|wirklich|immer noch|noch "
    r"immer|total|leider|ja|halt|eben|"
    r"inzwischen|mittlerweile|jetzt|nun|schon|endlich|nämlich|together|zusammen|for a living|beruflich)"
)
_FILLER = re.compile(
    rf"(?<=\w), {_FILLERS},(?= )|(?<=\w),? {_FILLERS}(?=[.!;]|$)|(?<=[\w,]) {_FILLERS}(?=[ ,])", re.IGNORECASE
)
_START_WORDS = (
    r"(?:i|we|he|she|they|it|my|our|his|her|their|its|everyone|everybody|most people|hers|mine|theirs|ours|"
    r"ich|wir|er|sie|es|mein|meine|meinen|unser|"
    r"unsere|sein|seine|ihr|ihre|the)"
)
_FINITE = (
    r"(?:am|is|are|was|went|took|found|hired|chose|cancelled|stopped|gave up|signed|replaced|swapped|"
    r"upgraded|changed|"
    r"live|lives|lived|work|works|worked|have|has|had|own|owns|drive|drives|love|loves|"
    r"like|likes|hate|hates|enjoy|"
    r"enjoys|play|plays|study|studies|speak|speaks|moved|bought|sold|started|got|joined|left|quit|married|"
    r"adopted|graduated|switched|retired|turned|come|comes|came|am|grew|prefer|prefers|take|takes|"
    r"teach|teaches|"
    r"collect|collects|ride|rides|goes|go|do not|does not|can not|used to|suffer|suffers|run|runs|"
    r"bin|ist|sind|wohne|wohnt|wohnen|arbeite|arbeitet|arbeiten|habe|hat|haben|spiele|spielt|mag|liebe|"
    r"liebt|hasse|spreche|spricht|"
    r"unterrichte|unterrichtet|trinke|trinkt|esse|isst|nehme|nimmt|lerne|lernt|gehe|geht|sammle|sammelt|"
    r"nutze|"
    r"nutzt|rauche|raucht|besuche|besucht|studiere|studiert|fahre|fährt|komme|kommt|heiße|heißt|lebe|lebt)"
)
_BOUNDARY = re.compile(
    rf"\s*;\s*|\s+[-–—]+\s+|\s*[–—]\s*"
    rf"|,?\s+(?:and|but|because|cause|cuz|although|though|while|whereas|und|aber|denn|so)\s+(?:(?:now|then|"
    rf"today|since then|jetzt)\s+)?"
    rf"(?={_START_WORDS}\b|not\b|(?-i:[A-ZÄÖÜ][\w-]+(?: [A-ZÄÖÜ][\w-]+)?) (?:is|has|lives|works|likes|loves|"
    rf"hates|was|does|drives|goes|takes|eats|speaks|wants|left|moved|got|took|"
    rf"studies|plays|ist|hat|wohnt|arbeitet|mag|fährt|geht|heißt|spielt|isst)\b)"
    rf"|,?\s+(?:and(?: also| then| now)?|but|und)\s+(?={_FINITE}\b)"
    rf"|,\s+(?:(?:now|jetzt|heute|seitdem|inzwischen|today|then)\s+)(?=\w)"
    rf"|,\s+(?={_START_WORDS}\s+\w)|,\s+(?=due (?:in|on|at)\b)"
    rf"|,\s+(?=(?-i:[A-ZÄÖÜ][\w-]+(?: [A-ZÄÖÜ][\w-]+)?) (?:is|has|lives|works) )"
    rf"|,\s+(?={_FINITE}\s+(?!too\b))"
    r"|\s+\((?=[^)]{4,})|\)\s*|:\s+(?=(?:i|my|we|our|ich|mein|meine|since|now|from|as of|seit|ab|jetzt)\b)",
    re.IGNORECASE,
)
_INTERROGATIVE = re.compile(
    r"^(?:and |but |so |or |und |oder )?(?:(?:what|whats|which|who|whom|whose|when|where|why|how|can you|"
    r"could|would|any|wie|wer|wo|wann|warum|welche\w*|kannst|könntest|soll|"
    r"sollte|darf|gibt es|hast du|muss ich)\b|(?:can|will|do|does|did|is|are|was|were|am|should|shall|may|"
    r"have|has|ist|sind|haben|bin|hat|habe|was) "
    r"(?:i|you|he|she|it|we|they|there|the|my|our|this|that|these|those|an?|any|anyone|ich|du|er|sie|es|"
    r"wir|ihr|der|die|das|mein\w*|"
    r"unser\w*|ein\w*)\b|right$|ok$|okay$|please|bitte|got it)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sentence:
    """A sentence with its exact words."""

    text: str
    is_question: bool
    said: str = ""
    """The user's very words where ``text`` has names in capitals that were typed small."""

    @property
    def quote(self) -> str:
        """The user's very words."""
        return self.said or self.text


def language_of(text: str) -> Language:
    """Return the language of a text, English when in doubt."""
    return "de" if len(_GERMAN.findall(text)) > len(_ENGLISH.findall(text)) else "en"


def sentences(text: str) -> list[Sentence]:
    """Cut a text into sentences; a line break ends one too."""
    found = []
    start = 0
    for end in _END.finditer(text):
        before = text[start : end.start()]
        if end[0] == "." and _ABBREVIATION.search(before) and re.match(r"\s+\S", text[end.end() :]):
            # "Dr. Klein", "3. August"; but "in 2019. Then" ends.
            following = text[end.end() :].lstrip(" ")
            if re.search(r"\b[A-Z][a-z]+(?: [A-Z]\.)* [A-Z]$", before) and following[:1].isupper():
                continue  # "Ursula K. Le Guin"
            if following[:1].islower() or not re.search(r"\d$|\b[A-Z]$", before) or _month_follows(following):
                continue
        found.append((before, end[0]))
        start = end.end()
    found.append((text[start:], ""))
    result = []
    for part, mark in found:
        words = _BULLET.sub("", part).strip(" \t\n\ufffc")
        if len(words) <= LONGEST_CHARS and re.search(r"\w", words):
            result.append(Sentence(words + mark.strip(), "?" in mark))
    return result


def plain(sentence: str, language: Language) -> str:
    """Return a sentence without contractions, greetings, fillers and the mark at its end."""
    text = sentence.replace("’", "'").replace("‘", "'").replace("\u00a0", " ")
    text = casual.repaired(_LEAD.sub("", text.rstrip("?!. ")), language)
    text = re.sub(r" \(\d{1,3}\)", "", text.replace(" @ ", " at "))
    text = re.sub(r"[*_]{1,3}(\w[^*_]*)[*_]{1,3}", r"\1", text)
    if language == "en":
        for pattern, to in _EXPANSIONS:
            text = pattern.sub(to, text)
        text = re.sub(r"\bi\b", "I", text)
    text = text.strip().rstrip("?!. ").strip()
    text = re.sub(r"\s*[:;][-']?[)(DP]+", "", text)
    text = _FALSE_START.sub("", text)
    before = None
    while before != text:
        before = text
        text = _LEAD.sub("", text).lstrip(" ,:;-–—")
    before = None
    while before != text:
        before = text
        text = _FILLER.sub("", text)
    return " ".join(text.split())


_DICTATED_WORDS = 12
"""From so many words on, a sentence without any mark inside was dictated."""
_TURN_OF_TALK = re.compile(
    r"\s+(?:oh yes|oh yeah|oh and|and another thing|another thing|anyway|by the way|what else)\s+",
    re.IGNORECASE,
)
_RUN_ON = re.compile(
    rf"(?<=\w)\s+(?=(?:I|he|she|we|they|it|my (?:\w+ ){{1,2}})\s*(?:never|always|{_FINITE})\b)", re.IGNORECASE
)
_HANGS_ON = re.compile(
    r"\b(?:the|an?|this|that|these|those|every|any|some|all|what|who|whom|which|how|when|where|while|if|"
    r"because|"
    r"than|think|thought|know|knew|say|says|said|hope|believe|guess|sure|told|tell|wish|whether|thing|things|"
    r"everything|something|anything|nothing)(?: \w+)?$"
    r"|\b(?:and|but|or|so|since|until|before|after|although|though|as|do|does|did|can|will|would|should|"
    r"could|are|am|"
    r"is|was|were|have|has|had|with|for|of|to|from|in|on|at|by|nor|not)$",
    re.IGNORECASE,
)
"""Before a pronoun: what follows belongs to it ("the street we live in", "I think she is")."""


def _unpunctuated(text: str) -> str:
    """Put marks between the statements of a sentence that was dictated without any."""
    if len(text.split()) < _DICTATED_WORDS or re.search(r"[,;:.!?](?!\d)", text):
        return text
    text = _TURN_OF_TALK.sub("; ", text)
    result, start = "", 0
    for match in _RUN_ON.finditer(text):
        before = text[start : match.start()]
        if len(before.split()) >= 3 and not _HANGS_ON.search(before):
            result += f"{before}; "
            start = match.end()
    return result + text[start:]


def clauses(sentence: str, *, is_question: bool) -> list[str]:
    """Cut a plain sentence into clauses; of a question, those that state something before it asks."""
    sentence = _unpunctuated(sentence)
    parts = []
    start = 0
    for boundary in _BOUNDARY.finditer(sentence):
        if boundary.end() == boundary.start():
            continue
        parts.append(sentence[start : boundary.start()])
        start = boundary.end()
    parts.append(sentence[start:])
    parts = [
        re.sub(r"^(?:and|but|und|aber) (?=\w+ )", "", part.strip(" ,")) for part in parts if part.strip(" ,")
    ]
    if is_question:
        return _before_question(parts)
    return [] if parts and _INTERROGATIVE.match(parts[0]) else parts


_SINCE = re.compile(
    r"^(?:since|because|as|given that|seeing that|considering that|now that|da|weil) (?=(?:i|we|my|our|ich|"
    r"wir|mein\w*|unser\w*)\b)",
    re.IGNORECASE,
)


def _before_question(parts: list[str]) -> list[str]:
    result = []
    for part in parts:
        # "My wife is vegan, what can I cook" has its question behind a comma.
        pieces = re.split(r",\s+", part)
        asked = next((i for i, piece in enumerate(pieces) if _INTERROGATIVE.match(piece)), None)
        if asked is not None:
            if asked:
                result.append(_SINCE.sub("", ", ".join(pieces[:asked])))
            return result
        result.append(part)
    # No question word: the whole is asked ("So I live in Bremen?").
    return []


def _month_follows(text: str) -> bool:
    return bool(
        re.match(
            r"(?:jan|feb|mär|mar|apr|mai|may|jun|jul|aug|sep|okt|oct|nov|dez|dec|klasse|semester|"
            r"geburtstag|platz|stock)",
            text,
            re.IGNORECASE,
        )
    )
