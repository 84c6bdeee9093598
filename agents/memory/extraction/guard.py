"""What must not become a fact: quotes, pasted text, fiction, play, hypotheses, jokes, what was recalled."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONG_CHARS = 2_500
"""A longer turn is pasted text: what it says is not what the user says."""

_ENDLESS = re.compile(r"\S{100,}")
"""No word: a key, a link, encoded data."""
_FENCE = re.compile(r"(```|~~~).*?(?:\1|\Z)", re.DOTALL)
_BLOCK_QUOTE = re.compile(r"^[ \t]*(?:>|\|>).*$", re.MULTILINE)
_INLINE_CODE = re.compile(r"`[^`\n]+`")
_QUOTED = re.compile(
    r"\"[^\"]*(?:\"|\Z)|“[^”]*(?:”|\Z)|„[^“”\"]*(?:[“”\"]|\Z)|«[^»]*(?:»|\Z)|»[^«]*(?:«|\Z)"
    r"|(?<![\w])['‘](?=\w)(?:[^'’\n]|['’](?=\w)){6,}['’](?!\w)"
)
_MAIL = re.compile(
    r"^(?:dear|hi|hello|hallo|liebe[r]?|sehr geehrte[r]?|guten tag|to whom)\b[^\n]{0,60},?\s*$.*?"
    r"^(?:(?:best|kind|warm|many)? ?(?:regards|wishes)|sincerely|yours|cheers|love|thanks|mit freundlichen "
    r"grüßen|"
    r"viele grüße|liebe grüße|beste grüße|gruß|lg)\b.*\Z",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_LETTER = re.compile(
    r"\b(?:dear|sehr geehrter?) (?:mr|mrs|ms|miss|mx|dr|prof\w*|sirs?|madam|herrn?|frau|damen|"
    r"hiring|team|all|neighbou?rs?|colleagues|parents|customers?|members)\b[^\n]*,.*\Z",
    re.IGNORECASE | re.DOTALL,
)
"""A letter without its end, as one dictates it."""
_HEADER = re.compile(
    r"^(?:from|to|cc|subject|date|sent|von|an|betreff|gesendet|datum): .*$", re.IGNORECASE | re.MULTILINE
)
_LOG_LINE = re.compile(
    r"^\s*(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\[?\d\d:\d\d(?::\d\d)?\]? ?[-\w]|\w{3} +\d+ \d\d:\d\d:\d\d|"
    r"(?:ERROR|WARN(?:ING)?|INFO|DEBUG|Traceback|at |File \")).*$",
    re.MULTILINE,
)
_INTRODUCED = re.compile(
    r"\b(?:message|text|mail|e-?mail|letter|note|ad|advert|post|review|comment|reply|caption|sms|"
    r"transcript|statement|excerpt|paragraph|"
    r"passage|tweet|chat|conversation|report|minutes|article|quote|announcement|story|poem|lyrics|song|"
    r"description|abstract|listing|"
    r"profile|bio|nachricht|anzeige|artikel|zitat|brief|kommentar|bewertung)s?\b(?! ?to self)"
    r"[^.:!?\n]{0,40}:(?=\s)",
    re.IGNORECASE,
)
_SAID_SO = re.compile(
    r"\b(?:wrote|writes|written|said|says|sent|texted|posted|replied|reads|told (?:me|us)|goes|put|"
    r"schrieb|"
    r"schreibt|meinte|meint|sagte|sagt|geschrieben|(?:here|this) is what|here's what|for the (?:readme|"
    r"website|about page|"
    r"profile|bio|footer|flyer|card|invitation))\b[^.!?\n:]{0,30}:(?=\s)",
    re.IGNORECASE,
)
"""What stands behind a colon when somebody said it, or what is to be put somewhere."""
_SPEAKER = re.compile(r"^\s*[A-Z][\w .]{0,24}: .+$", re.MULTILINE)

_TASK = (
    r"(?:translate|transl\.|proof-?read|summari[sz]e|summary of|tl;?dr|re-?write|re-?phrase|paraphrase|"
    r"shorten|polish|"
    r"correct|edit|improve|fix|check|review|analy[sz]e|classify|parse|format|convert|spell-?check|grammar "
    r"check|reword|"
    r"simplify|explain|interpret|continue|complete|finish|extract|tag|label|rate|grade|read|comment on|"
    r"respond to|reply to|"
    r"answer|transcribe|dictate|copy|repeat|echo|quote|übersetze?n?|korrigiere?n?|fasse?|zusammenfass\w*|"
    r"umformulier\w*|"
    r"formulier\w*|verbesser\w*|prüfe?|lies|erkläre?|kürze?|schreibe? .{0,20}um|vervollständige?)"
)
_PAYLOAD = re.compile(
    rf"(?:^|[.!?\n,] ?|\b(?:please|bitte|you|you to|pls|kannst du|mir) ){_TASK}\b[^.:?!\n]{{0,90}}"
    rf"(?::|\b(?:this|that|these|it|following|below|above|text|sentences?|paragraph|mail|e-?mail|letter|"
    rf"message|article|"
    rf"diesen?|dieses|folgende\w*|satz|text|absatz|brief|nachricht|artikel|das)\b)",
    re.IGNORECASE,
)
_ABOUT_WORDS = re.compile(
    r"\b(?:how (?:do|would|can|to) (?:you |i |we |one )?(?:say|write|spell|translate|pronounce)|"
    r"grammatically|"
    r"grammar|(?:is|are|was) (?:this|that|it|my|the) (?:sentences?|text|phrase|wording|translation|paragraph|"
    r"grammar|spelling)|what does .{0,80} mean|in (?:french|german|english|spanish|italian) mean|"
    r"translation (?:of|for)|"
    r"make (?:it|this|that) (?:shorter|longer|more|less|sound)|what(?:'s| is) wrong with|which (?:one )"
    r"?sounds|"
    r"say it in|another way to say|rhymes? with|wie sagt man|was heißt|was bedeutet|grammatisch|"
    r"as (?:a )?(?:caption|slogan|headline|status message))\b",
    re.IGNORECASE,
)
_FICTION = re.compile(
    r"\b(?:(?:write|draft|compose|create|generate|make up|invent|tell|continue|give|schreibe?|erzähle?|"
    r"erfinde?|dichte?|verfasse?)"
    r"\b[^.!?\n]{0,50}\b(?:stor(?:y|ies)|tales?|poems?|songs?|lyrics|novel|chapters?|scenes?|dialogues?|"
    r"scripts?|plays?|"
    r"limericks?|haikus?|raps?|jokes?|sketch|monologues?|diary entry|blog ?posts?|cover letters?|letters?|"
    r"e-?mails?|"
    r"bio(?:graphy)?|profile|introduction|essays?|speech(?:es)?|toast|statement|review|ad|advert|"
    r"testimonial|persona|"
    r"geschichten?|gedichte?|lied|lieder|märchen|brief|rede|bewerbung|anschreiben|aufsatz)"
    r"|pretend|imagine|make[- ]believe|role[- ]?play|let(?:'s| us) (?:say|assume|pretend|imagine|suppose|"
    r"play)|act as|"
    r"play the (?:role|part)|suppose|assum(?:e|ing)|hypothetical(?:ly)?|for the sake of argument|what if|"
    r"for (?:example|instance)|such as|e\.g\.|example (?:sentence|text|data|input)|sample (?:sentence|text|"
    r"data|input)|"
    r"test (?:sentence|text|data|input)|placeholder|lorem|fill in|fill out|template|dummy|"
    r"dear diary|liebes tagebuch|lyrics?|in (?:my|the|a|this|that|his|her) (?:novel|story|book|film|movie|"
    r"song|poem|series|show|game|"
    r"dream|play|scene|example|demo|sample|exercise|tutorial|template|"
    r"campaign|fanfic)|(?:the|my|our|his|her) (?:protagonist|narrator|main character|hero|heroine|villain)|"
    r"my character|(?:first|second|third|last|next|opening|closing) (?:chapter|verse|stanza|scene)|"
    r"i (?:had a dream|dreamt|dreamed)|"
    r"stell dir vor|angenommen|nehmen wir an|tu so|spiel(?:e)? (?:einen?|die|den)|zum beispiel|z\. ?b\.|"
    r"beispielsatz|"
    r"im (?:film|buch|roman|traum|spiel|lied)|in meinem (?:roman|buch|traum|spiel)|liedtext|songtext)\b",
    re.IGNORECASE,
)
_INVENTED = re.compile(
    r"\b(?i:protagonist|narrator|character|hero|heroine|villain|antagonist)(?:'s name)?,?"
    r"(?: (?:is|named|called|will be|is called))? ([A-Z\u00c4\u00d6\u00dc][a-z\u00e4\u00f6\u00fc\u00df]+)\b"
)
_PLAY = re.compile(
    r"\b(?:role[- ]?play|rollenspiel|you are now|you're now|let(?:'s| us) play|stay in character|du bist "
    r"(?:jetzt|nun)|dungeons|d&d|"
    r"(?:text|adventure|pen and paper|interview) (?:game|adventure|simulation)|be my (?:pirate|dungeon))\b",
    re.IGNORECASE,
)
_PRETENCE = re.compile(
    r"\b(?:pretend|act (?:as|like) (?:an?|if|my|the|you|you're|youre)\b|you are (?:captain|king|queen|lord|"
    r"lady|sir|dr\.?|detective|"
    r"professor) [a-z]|make[- ]believe|imagine (?:that )?(?:you|we)(?:'re| are)|tu so|"
    r"stell dir vor,? (?:dass )"
    r"?(?:du|wir))\b",
    re.IGNORECASE,
)
_PLAY_ENDS = re.compile(
    r"\b(?:out of character|ooc|stop (?:the )?(?:role|game|play|pretending)|end (?:of )?(?:the )?(?:role|"
    r"game|play)|"
    r"back to (?:reality|normal|real life)|in real life|for real now|enough (?:of the )?(?:role|game|play)|"
    r"spiel(?:ende| vorbei)|"
    r"ende des (?:spiels|rollenspiels)|zurück zur realität)\b",
    re.IGNORECASE,
)
_JOKE = re.compile(
    r"(?:(?<!\w)/s\b|\bjust kidding\b|\bjk\b|\bj/k\b|\bkidding\b|\bjoking\b|\byeah,? right\b|\bas if\b|"
    r"\boh sure\b|"
    r"\bsure,? and i(?:'m| am)\b|\bof course i\b.*\b(?:haha|lol|lmao)\b|\bnot!\s*$|\bscherz\b|\bspaß "
    r"beiseite\b|\bnur spaß\b|"
    r"\bha ?ha(?:ha)*[.! ]*$|\blo+l[.! ]*$|\brofl\b|\blmao\b|🤣|😂|😜|😉|;-?\)|\bironie\b|\bin my dreams\b|"
    r"\bna klar\b|\bschön wär)",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:if|unless|whether|suppose|supposing|would|could|might|maybe|perhaps|possibly|probably|wish|wished|"
    r"hopefully|hope|imagine|guess|suspect|wonder|rumou?r|allegedly|supposedly|apparently|not sure|unsure|"
    r"no idea|thinking (?:of|about)|considering|consider|dream(?:ing)? of|i think|i believe|i assume|"
    r"seems?|should|"
    r"in case|as though|pretend|falls|wenn|würde\w*|wäre\w*|hätte\w*|könnte\w*|müsste\w*|vielleicht|"
    r"wahrscheinlich|"
    r"vermutlich|möglicherweise|angeblich|ob|hoffentlich|glaube|wünschte|vllt)\b",
    re.IGNORECASE,
)
_SAYINGS = re.compile(
    r"\b(?:in case (?:the |my |your |any )?\w+ (?:wonders?|cares?|asks?|matters|needs? (?:it|to know|"
    r"that))(?: later)?|"
    r"would you believe(?: it)?|if you (?:must|want to) know|if you ask me|if i may|as if by magic|"
    r"(?:just )?in case (?:you|it|that|anyone)(?: need| needs| want| wonder| wondering| ask| asks| matters|"
    r" helps)?(?: it| to know)?|"
    r"if you need it|if you need to know|if anyone asks|if it helps|if that helps|if that matters)\b",
    re.IGNORECASE,
)
_ADDRESSED = re.compile(
    r"\b(?:write|draft|compose|prepare|send|schreibe?n?|verfasse?n?|"
    r"formuliere?n?)\b[^.!?:\n]{0,50}\b(?:letters?|e-?mails?|"
    r"mails?|cards?|notes?|messages?|speech|toast|invitations?|poems?|brief|karte|nachricht|rede|einladung|"
    r"gedicht|"
    r"glückwunsch\w*|grußkarte)\b[^.!?:\n]{0,30}?(?P<to>\b(?:to|for|an|für) (?:my|our|mein\w*|"
    r"unser\w*) [^.!?:\n]{2,60})",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"\b(?:if|unless|whether|suppose|supposing|wish|wished|imagine|as though|in case|pretend|i think|i "
    r"believe|i guess|not sure|falls|wenn|"
    r"würde\w*|wäre\w*|hätte\w*|angenommen|ob)\b",
    re.IGNORECASE,
)
_REPORTED = re.compile(
    r"\b(?:(?:he|she|they|it|[A-Z]\w+|who|someone|article|book|text|document|page|letter|mail|email|guy|"
    r"post|user|author|man|woman|"
    r"news|website|review|manual|doc) "
    r"(?:just |also |once |always |even |then )?(?:said|says|wrote|writes|told|tells|claims?|claimed|"
    r"states?|stated|"
    r"asked|asks|replied|answered|goes like|was like|reads|mentions|mentioned)|according to|quote|unquote|"
    r"it says|"
    r"(?:sagt|sagte|meint|meinte|behauptet) (?:er|sie|man|[A-ZÄÖÜ]\w+)|[A-Z]?\w+ (?:sagt|sagte|schreibt|"
    r"schrieb|meint|meinte|behauptet|erzählte)|laut|in (?:the|this|that) "
    r"(?:article|book|text|"
    r"document|mail|letter)|(?:the )?(?:text|article|mail|subject) ?:)",
)
_MINE = re.compile(r"\b(?:i|ich) (?:said|meant|mean|meinte|told|sagte|mentioned)\b", re.IGNORECASE)


def own_words(text: str) -> str:
    """Return what of a turn's text are the user's own statements; the rest is blanked, line for line."""
    if len(text) > LONG_CHARS:
        return ""
    text = _FENCE.sub(_blank, _ENDLESS.sub(" \ufffc ", text))
    text = _BLOCK_QUOTE.sub(_blank, text)
    text = _LETTER.sub(_blank, _MAIL.sub(_blank, text))
    header = _HEADER.search(text)
    if header:
        text = text[: header.start()]
    text = _LOG_LINE.sub(_blank, text)
    if len(_SPEAKER.findall(text)) >= 2:
        text = _SPEAKER.sub(_blank, text)  # a pasted chat or form
    if _ABOUT_WORDS.search(text):
        return ""
    introduced = _INTRODUCED.search(text)
    if (
        introduced
        and not re.search(r"\b(?:funny|long|quick|short|sad|true) $", text[: introduced.start()])
        and not re.match(r"\s*(?:note|notiz|message|merk)", text, re.IGNORECASE)
    ):
        text = text[: introduced.start()]
    if ":" in text and (said := _SAID_SO.search(text)):
        text = text[: max(text.rfind(mark, 0, said.start()) + 1 for mark in ".!?\n")]
    quoted = _QUOTED.search(text)
    text = _INLINE_CODE.sub(_blank, _QUOTED.sub(_blank, text))
    payload = _PAYLOAD.search(text)
    if payload:
        # What the task is about may stand before it or behind it; only other lines before it are the user's.
        if quoted and quoted.start() > payload.start():
            return text[: payload.start()]
        before = text[: payload.start()].rstrip()
        return before if payload[0].rstrip().endswith(":") else ""
    return text


def is_fiction(text: str) -> bool:
    """Say whether a turn asks for fiction or an example, so that its first person is not the user."""
    return bool(_FICTION.search(text))


def invented(text: str) -> list[str]:
    """Return the names that a turn gives to people of a story, in lower case."""
    return [name.casefold() for name in _INVENTED.findall(text)]


def addressee(text: str) -> str:
    """Return to whom a letter, a card or a speech is asked for: "to my boss Karen" is true of the user."""
    match = _ADDRESSED.search(text)
    return match["to"] if match and not _PRETENCE.search(text) and not _PLAY.search(text) else ""


def play_turns(text: str) -> int:
    """Return in how many turns, this one included, what is said belongs to a play that this one begins."""
    if _PLAY_ENDS.search(text):
        return 0
    return 20 if _PLAY.search(text) else 3 if _PRETENCE.search(text) else 0


def ends_play(text: str) -> bool:
    """Say whether a turn ends a role play."""
    return bool(_PLAY_ENDS.search(text))


def is_joke(text: str) -> bool:
    """Say whether a turn marks itself as not meant."""
    return bool(_JOKE.search(text))


def is_unsure(sentence: str) -> bool:
    """Say whether a sentence is a guess, a wish or a condition."""
    return bool(_UNSURE.search(_SAYINGS.sub("", sentence)))


def is_conditional(sentence: str) -> bool:
    """Say whether a sentence has a condition or a guess that all its clauses hang on."""
    return bool(_CONDITION.search(_SAYINGS.sub("", sentence)))


def is_reported(sentence: str) -> bool:
    """Say whether a sentence tells what someone else said or wrote."""
    return bool(_REPORTED.search(sentence)) and not _MINE.search(sentence)


def before_reported(sentence: str) -> str:
    """Return what the user says before telling what someone said: "she moved to Spain and now she says …"."""
    reported = _REPORTED.search(sentence)
    joint = (
        re.search(r",? (?:and|but)(?: now| then| today)? *$", sentence[: reported.start()])
        if reported
        else None
    )
    own = sentence[: joint.start()] if joint else ""
    return own if len(own.split()) >= 4 and not is_reported(own) else ""


class Recalled:
    """The word sequences of all that was given to the model, or said by it, in a conversation."""

    size = 4

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._seen: set[tuple[str, ...]] = set()
        self._whole: list[str] = []
        self._told: set[str] = set()
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Take in another text."""
        words = _words(text)
        self._seen.update(_grams(words, self.size))
        self._whole.append(f" {' '.join(words)} ")
        self._told.update(words)

    def repeats(self, sentence: str) -> bool:
        """Say whether a sentence is made of recalled words: more than half of its sequences of four."""
        words = _words(sentence)
        grams = _grams(words, self.size)
        if len(words) < self.size + 1:
            joined = f" {' '.join(words)} "
            return len(words) >= 3 and any(joined in text for text in self._whole)
        return sum(gram in self._seen for gram in grams) > len(grams) / 2

    def tells(self, sentence: str) -> bool:
        """Say whether what a sentence tells was told to the user: two thirds of its longer words."""
        words = [word for word in _words(sentence) if len(word) > 3 or word.isdigit()]
        return bool(words) and sum(word in self._told for word in words) * 3 >= len(words) * 2


def _grams(words: list[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _blank(match: re.Match[str]) -> str:
    """Keep the number of lines, so that what follows stays a line of its own."""
    return " \ufffc " + "\n" * match[0].count("\n")
