"""From a sentence to clauses with subject and verb."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import tzinfo

from agents.memory.extraction import german, guard, lexicon, values, verbs
from agents.memory.extraction.model import Clause, Subject
from agents.memory.extraction.rewriting import plain_clauses
from agents.memory.extraction.sentences import Language, Sentence, clauses, plain
from agents.memory.extraction.subjects import THE_OWNER, People, parse
from agents.memory.extraction.times import When, take_times

_MAX_SUBJECT_WORDS = 10
_SLOTS = "|".join(sorted(map(re.escape, lexicon.SLOT_NOUNS), key=len, reverse=True))
KIN_WORDS = "|".join(sorted(map(re.escape, lexicon.KIN), key=len, reverse=True))
_MENTION = re.compile(
    rf"\b(?P<who>(?:[Mm]y|[Oo]ur|[Mm]eine?[nmrs]?|[Uu]nsere?[nmrs]?) "
    rf"{lexicon.KIN_ADJECTIVES}(?i:{KIN_WORDS}),? (?:(?:Mr|Mrs|Ms|Dr|Prof|Herr|Frau|Doctor)\.? )?"
    r"[A-ZÄÖÜ][\w-]+(?: (?!(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|(?:Jan|Febr)uary|March|April|May|Ju|"
    r"Aug|"
    r"Sept|Octo|Nove|Dece|I\b)[A-ZÄÖÜ][a-zäöüß-]+\b(?!'))?"
    r"(?:(?:, [A-ZÄÖÜ][\w-]+)*,? (?:and|und) [A-ZÄÖÜ][\w-]+)?)"
)
_OF_NAMED = re.compile(
    rf"\b(?P<who>[A-ZÄÖÜ][a-zäöüß]+'s {lexicon.KIN_ADJECTIVES}(?i:{KIN_WORDS}),? (?!(?:Mon|Tues|Wednes|"
    rf"Thurs|Fri|Satur|Sun)day)[A-ZÄÖÜ][a-zäöüß-]+)\b"
)
_APPOSED_KIN = re.compile(
    rf"\b(?:[Mm]y|[Oo]ur|the (?=missus|wife|hubby|husband|"
    rf"other half)) ?{lexicon.KIN_ADJECTIVES}(?P<kin>(?i:{KIN_WORDS}))"
    r"(?:, (?P<name>(?:(?:Mr|Mrs|Ms|Dr|Frau|Herr)\.? )?[A-ZÄÖÜ][a-zäöüß-]+)(?=,)|"
    r" \((?P<in>[A-ZÄÖÜ][a-zäöüß-]+)\))"
)
_THE_KIN = re.compile(
    r"\b[Tt]he (?P<kin>landlord|landlady|boss|vet|dentist|plumber|electrician|cleaner|gardener|nanny|"
    r"babysitter|accountant|"
    r"lawyer|solicitor|caretaker|lodger), (?P<name>(?:(?:Mr|Mrs|Ms|Dr)\.? )?[A-ZÄÖÜ][\w-]+)\b"
)
_MY_KIN = re.compile(
    rf"\b(?:[Mm]y|[Oo]ur|[Mm]ein\w*|[Uu]nser\w*) {lexicon.KIN_ADJECTIVES}(?i:{KIN_WORDS})\b(?!')"
)
_RELATIVE = re.compile(
    r"^(?P<before>.*?)(?P<who>\b(?:[Mm]y|[Oo]ur|[Mm]eine?|[Uu]nsere?) (?:[\w-]+ ){0,3}?[\w-]+(?: "
    r"[A-ZÄÖÜ][\w-]+)?|\b[A-ZÄÖÜ][\w-]+), "
    r"(?:who|which|that) (?P<said>[^,]+)(?:, ?(?P<after>.*))?$"
)
_AS = re.compile(
    r"^(?:as|being) (?P<what>an? (?!result|matter|rule|child|kid|teenager|bonus|joke|first|general|side)"
    r"[\w -]+?),? (?P<rest>(?:(?:what|which|how|where|can|could|may|should|am|do|will|is|are) (?=.*\b(?:i|"
    r"me|my|we)\b))"
    r"?(?:i|we|(?<= )\w+)\b.*)$",
    re.I,
)
_TURNED = re.compile(
    rf"^(?P<v>[^,]{{1,40}}?) (?:is|are|ist|sind) (?P<s>(?:my|our|mein\w*|unser\w*|the) (?:(?:least )"
    rf"?favou?rite [\w ]+|lieblings\w+|(?:{_SLOTS})(?: of [\w ]+)?))$",
    re.IGNORECASE,
)
_HERE = re.compile(r"^(?:this is )?(?P<v>[A-ZÄÖÜ]\w+) (?:here|speaking)$")
_NO_VERB = re.compile(
    r"^(?P<who>(?:his|her|their|its|my|our \w+'s) names?) (?P<name>[A-ZÄÖÜ]\w+(?: and [A-Z]\w+)?)$",
    re.IGNORECASE,
)


def read(sentence: Sentence, language: Language, people: People, at: float, zone: tzinfo) -> Iterator[Clause]:
    """Yield the clauses of a sentence that state something; ``people`` tells names and pronouns."""
    text = plain(sentence.text, language)
    if not sentence.is_question and _is_job_alone(text):
        text = f"I am {text[:1].lower()}{text[1:]}"
    carried: list[Subject] = []
    parts = [
        part
        for one in ([text] if sentence.is_question else plain_clauses(text))
        for part in _parts(one, is_question=sentence.is_question)
    ]
    for part in parts:
        if match := _HERE.match(part):
            part = f"I am {match['v']}"
        if (match := _TURNED.match(part)) and not re.match(
            r"^(?:it|this|that|what|which|he|she|they|i)\b", match["v"], re.IGNORECASE
        ):
            part = f"{match['s']} is {match['v']}"
        is_own = not carried or carried[0].kind == "thing"
        if is_own and re.match(
            r"^(?:got|bought|ordered|found|hired|adopted|picked up) (?:an?|the|my|our) ", part
        ):
            part, carried = f"I {part}", []
        if guard.is_unsure(part):
            break  # what follows a guess may belong to it
        if re.match(r"^(?:we|wir) (?:are called|are named|heißen)\b", part, re.IGNORECASE):
            continue  # a firm or a band: no name of the user
        missing = _NO_VERB.match(part)
        if missing:
            part = f"{missing['who']} is {missing['name']}"
        carried = [people.resolve(subject) if subject.path else subject for subject in carried]
        found = _clause(part, language, people, at, zone, carried)
        if not found:
            # "Our twins, Oisin and Maeve," has its verb behind the comma.
            starts_own = re.match(r"^(?:I|we|ich|wir)\b(?! (?:and|und)\b)", part, re.IGNORECASE)
            carried = (
                [THE_OWNER]
                if starts_own
                else [
                    subject for subject in parse(part, people) if subject.kind != "thing" and subject.is_known
                ]
                or (
                    []
                    if re.match(r"^(?:my|our|his|her|their|the|mein\w*|unser\w*)\b", part, re.I)
                    else carried
                )
            )
            spoken = [*mentions(part), *_MY_KIN.findall(part)]
            for subject in [*carried, *(one for words in spoken for one in parse(words, people))]:
                people.mention(subject)
            continue
        carried = [clause.subject for clause in found]
        for clause in found:
            people.mention(clause.subject)
        yield from found


def mentions(text: str) -> list[str]:
    """Return the relatives with their names that a text takes for granted: "for my wife Carla"."""
    found = [match["who"].replace("'s", "") for match in _MENTION.finditer(text)]
    found += [match["who"] for match in _OF_NAMED.finditer(text)]
    found += [f"my {match['kin']} {match['name'] or match['in']}" for match in _APPOSED_KIN.finditer(text)]
    return found + [f"my {match['kin']} {match['name']}" for match in _THE_KIN.finditer(text)]


def _is_job_alone(text: str) -> bool:
    """Say whether a text is no more than "Retired firefighter from Tulsa"."""
    if len(text.split()) > 8 or re.match(
        r"^(?:i|ich|wir|er|sie|mein\w*|unser\w*|he|she|my|the|we|you|what|which|who)\b|.*\b(?:is|was|are|"
        r"were|has|have|had|works?|be|being|"
        r"became|"
        r"will|wants?|bin|ist|sind|war|hat|called|named)\b",
        text,
        re.IGNORECASE,
    ):
        return False
    if re.search(r"\b(?:him|her|them|me|you|us|it|ihn|mich|dich|der|die|das)\b", text, re.IGNORECASE):
        return False
    match = re.match(r"^(?:an? )?(?P<job>[\w ]+?)(?: (?:from|in) [A-Z].*)?$", text)
    return bool(match and values.job(match["job"]))


def _parts(text: str, *, is_question: bool) -> list[str]:
    result: list[str] = []
    if match := _AS.match(text):
        result.append(f"I am {match['what']}")
        text = match["rest"]
    if match := _RELATIVE.match(text):
        who = match["who"]
        result += [f"{who} {match['said']}"]
        rest = f"{match['before']}{who} {match['after'] or ''}".strip()
        return result + clauses(rest, is_question=is_question)
    return result + clauses(text, is_question=is_question)


def _clause(
    text: str, language: Language, people: People, at: float, zone: tzinfo, carried: list[Subject]
) -> list[Clause]:
    stripped, when = take_times(text, at, zone)
    if language == "de":
        read_german = german.predicate(
            f"ich {stripped}" if carried and german.begins_with_verb(stripped) else stripped
        )
        if read_german and carried and german.begins_with_verb(stripped):
            return [_made(one, read_german[1], when, read_german[1].rest, language) for one in carried]
        if read_german:
            subject_text, verb = read_german
            subjects = parse(subject_text, people)
            full = german.predicate(text)
            rest = full[1].rest if full else verb.rest
            return [_made(one, verb, when, rest, language) for one in subjects]
        return []
    found = _english(stripped, people, carried)
    if not found:
        return []
    subjects, verb = found
    whole = _english(text, people, carried)
    full_rest = whole[1].rest if whole and whole[1].base == verb.base else verb.rest
    return [_made(one, verb, when, full_rest, language) for one in subjects]


def _english(text: str, people: People, carried: list[Subject]) -> tuple[list[Subject], verbs.Verb] | None:
    words = text.split()
    for count in range(1, min(_MAX_SUBJECT_WORDS, len(words))):
        verb = verbs.english(" ".join(words[count:]))
        if verb is None or (
            verb.base not in ("be", "have") and re.match(r"^(?:is|are|was|were|has|have)\b", verb.rest)
        ):
            continue  # "my mother's name is": a noun that is a verb elsewhere
        before = re.sub(
            r",? (?:he|she|they|it|now|then|also|all|both|have|has|never|no longer|always)$",
            "",
            " ".join(words[:count]),
            flags=re.I,
        )
        subjects = parse(before.strip(" ,"), people)
        if subjects:
            if words[count - 1].casefold() == "never":
                continue
            return subjects, verb
        if count == 1 and re.fullmatch(r"(?:would|could|might|to|if|let|please|do|can)", words[0], re.I):
            return None
    if carried:
        verb = verbs.english(text)
        if verb:
            return carried, verb
    return None


def _made(subject: Subject, verb: verbs.Verb, when: When, full_rest: str, language: Language) -> Clause:
    return Clause(
        subject=subject,
        verb=verb.base,
        rest=verb.rest,
        tense=verb.tense,
        negated=verb.negated,
        ended=verb.ended,
        used_to=verb.used_to,
        progressive=verb.progressive,
        when=when,
        full_rest=full_rest,
        language=language,
    )
