"""German clauses, brought into the form of English ones: subject, verb in its English base form, rest."""

from __future__ import annotations

import re

from agents.memory.extraction.model import Tense
from agents.memory.extraction.verbs import Verb

_SUBJECT = (
    r"(?:(?i:ich|wir|er|sie|es)|(?i:(?:mein|unser|sein|ihr)(?:e|er)?)(?: (?:ältere|jüngere|kleine|große|"
    r"beste|alte|neue|erste)[rns]?)? "
    r"[A-ZÄÖÜ][\wäöüß-]+(?: (?!(?:Uhr|Euro)\b)[A-ZÄÖÜ][\wäöüß-]+)?|(?i:der|die|das) [A-ZÄÖÜ][\wäöüß-]+|"
    r"[A-ZÄÖÜ][\wäöüß-]+)"
)
_FORMS: dict[str, tuple[str, Tense]] = {}
for _line in """
be: bin ist sind seid
have: habe hab hat haben besitze besitzt besitzen
live: wohne wohnt wohnen lebe lebt leben
work: arbeite arbeitet arbeiten jobbe jobbt
be called: heiße heisse heißt heisst heißen
like: mag mögen gefällt
love: liebe liebt lieben
hate: hasse hasst hassen verabscheue
drive: fahre fährt fahren
speak: spreche spricht sprechen
study: studiere studiert studieren
play: spiele spielt spielen
drink: trinke trinkt trinken
eat: esse isst essen
take: nehme nimmt nehmen
smoke: rauche raucht rauchen
fly: fliege fliegt fliegen
travel: reise reist reisen
collect: sammle sammelt sammeln
learn: lerne lernt lernen
come: komme kommt kommen stamme stammt stammen
go: gehe geht gehen
use: nutze nutzt nutzen verwende verwendet verwenden benutze benutzt benutzen
marry: heirate heiratet heiraten
move: ziehe zieht ziehen
start: beginne beginnt beginnen fange fängt
run: läuft laufe
prefer: bevorzuge bevorzugt
visit: besuche besucht besuchen
teach: unterrichte unterrichtet
wear: trage trägt
suffer: leide leidet leiden
turn: werde wird werden
call: ruft rufe
cancel: kündige kündigt
get: bekomme bekommt bekommen
cost: kostet
tolerate: vertrage verträgt vertragen
pay: zahle zahlt zahlen bezahle bezahlt
earn: verdiene verdient verdienen
lead: leite leitet leiten
""".strip().splitlines():
    _english, _, _german = _line.partition(": ")
    for _form in _german.split():
        _FORMS[_form] = (_english, "present")
_FORMS |= {
    "war": ("be", "past"),
    "waren": ("be", "past"),
    "hatte": ("have", "past"),
    "hatten": ("have", "past"),
    "hieß": ("be called", "past"),
    "wohnte": ("live", "past"),
    "lebte": ("live", "past"),
    "wohnten": ("live", "past"),
    "arbeitete": ("work", "past"),
}
_PARTICIPLES = {
    "gezogen": "move",
    "umgezogen": "move",
    "übersiedelt": "move",
    "gesiedelt": "move",
    "gewechselt zu": "",
    "gekauft": "buy",
    "verkauft": "sell",
    "angefangen": "start",
    "begonnen": "start",
    "geheiratet": "marry",
    "geboren": "bear",
    "aufgewachsen": "grow",
    "gewohnt": "live",
    "gelebt": "live",
    "gearbeitet": "work",
    "studiert": "study",
    "gewechselt": "switch",
    "gekündigt": "quit",
    "aufgehört": "stop",
    "bekommen": "get",
    "adoptiert": "adopt",
    "getrennt": "separate",
    "verloren": "lose",
    "geworden": "become",
    "gestorben": "die",
    "zugelegt": "buy",
    "umgestiegen": "switch",
    "entschieden": "decide",
    "verheiratet": "",
    "angeschafft": "buy",
    "besorgt": "buy",
    "geschieden": "",
}
_INFINITIVES = {
    "ziehen": "move",
    "umziehen": "move",
    "heiraten": "marry",
    "fliegen": "fly",
    "fahren": "travel",
    "reisen": "travel",
    "anfangen": "start",
    "beginnen": "start",
    "besuchen": "visit",
    "wohnen": "live",
    "arbeiten": "work",
    "studieren": "study",
    "sein": "be",
}
_VERB = "|".join(sorted(map(re.escape, _FORMS), key=len, reverse=True))
_INVERTED = re.compile(rf"^(?P<front>.*?)\s*\b(?P<verb>{_VERB}) (?P<subject>{_SUBJECT})\b\s*(?P<rest>.*)$")
_STRAIGHT = re.compile(rf"^(?P<subject>.{{2,60}}?) (?P<verb>{_VERB})(?: (?P<rest>.*))?$", re.IGNORECASE)
_PREPOSITIONS = (
    (r"^in (?:der |dem |den |die |das )?|^im |^ins ", "in "),
    (r"^(?:bei(?: der| dem| den)?|beim|an der|am|an) ", "at "),
    (r"^für ", "for "),
    (r"^als ", "as "),
    (r"^(?:nach|ins|in die|in den|zur|zum) ", "to "),
    (r"^aus(?: der| dem)? ", "from "),
    (r"^gegen ", "to "),
)
_WORDS = (
    (r"\ballergisch gegen\b", "allergic to"),
    (r"\bVegetarier(?:in)?\b|\bvegetarisch\b", "vegetarian"),
    (r"\bVeganer(?:in)?\b|\bvegan\b", "vegan"),
    (r"\bJahre alt\b", "years old"),
    (r"\bverheiratet mit\b", "married to"),
    (r"\bverheiratet\b", "married"),
    (r"\bgeschieden\b", "divorced"),
    (r"\bliiert mit\b", "together with"),
    (r"\bverlobt\b", "engaged"),
    (r"\bledig\b", "single"),
    (r"\bRentner(?:in)?\b|\bin (?:Rente|Pension)\b|\bpensioniert\b", "retired"),
    (r"\bgeboren in\b", "born in"),
    (r"\bgeboren\b", "born"),
    (r"\b(\w+)intolerant\b", r"\1intolerant"),
    (r"\bvon Beruf\b", "by profession"),
    (r"\bFan (?:von|vom)\b", "fan of"),
    (r"\bselbstständig\b|\bselbständig\b", "self-employed"),
    (r"\bschwanger\b", "pregnant"),
    (r"\bgegen\b", "to"),
)


def begins_with_verb(clause: str) -> bool:
    """Say whether a clause has left out its subject: "spielt Klavier"."""
    following = clause.split()[1:2]
    return clause.split()[0].casefold() in _FORMS and (following[0] if following else "") not in (
        "ich",
        "wir",
        "er",
        "sie",
        "es",
    )


def predicate(clause: str) -> tuple[str, Verb] | None:
    """Return a German clause's subject, as it stands there, and its predicate; None when it has none.

    Expressions of time have been taken out before.
    """
    clause = re.sub(r"^dass (.+) (\w+)$", r"\1 \2", clause)
    subject = verb = rest = ""
    inverted = _INVERTED.match(clause)
    straight = _STRAIGHT.match(clause)
    if (
        inverted
        and (not straight or not inverted["front"] or len(inverted["front"].split()) <= 4)
        and not (straight and re.fullmatch(_SUBJECT, straight["subject"]))
    ):
        subject, verb = inverted["subject"], inverted["verb"]
        rest = f"{inverted['front']} {inverted['rest']}".strip()
    elif straight:
        subject, verb, rest = straight["subject"], straight["verb"], straight["rest"] or ""
    else:
        return None
    english, tense = _FORMS[verb.casefold()]
    return subject, _with_ending(english, tense, rest)


def _with_ending(english: str, tense: Tense, rest: str) -> Verb:
    ended = bool(re.search(r"\bnicht mehr\b|\bkeine?[nmrs]?\b.*\bmehr\b", rest))
    rest = re.sub(r"\bnicht mehr\b|\bmehr\b", "", rest) if ended else rest
    negated = bool(re.search(r"\b(?:nicht|nie|niemals|keine?[nmrs]?|ungern)\b", rest))
    rest = " ".join(re.sub(r"\b(?:nicht|nie|niemals|keine?[nmrs]?|ungern)\b", "", rest).split())
    base = english
    if english == "start":
        rest = re.sub(r" an$", "", rest)  # "fängt bei der Post an"
    if english == "turn":
        last = rest.rpartition(" ")[2]
        if last in _INFINITIVES:
            base, rest, tense = _INFINITIVES[last], rest.rpartition(" ")[0], "future"
        elif re.match(r"^\d", rest):
            base = "turn"
        else:
            base = "become"
    elif english in ("be", "have"):
        last = rest.rpartition(" ")[2].rstrip(",")
        if _PARTICIPLES.get(last):
            base, rest = _PARTICIPLES[last], rest.rpartition(" ")[0]
            tense = "past" if base in ("live", "work", "study") else "perfect"
        elif last in ("gern", "gerne", "lieb") and english == "have":
            base, rest = "like", rest.rpartition(" ")[0]
    if re.search(r"\b(?:gerne?|am liebsten|leidenschaftlich)\b", rest):
        rest = " ".join(re.sub(r"\b(?:sehr )?(?:gerne?|am liebsten|leidenschaftlich)\b", "", rest).split())
        if base in ("eat", "drink", "read", "have") or base in ("drive", "go", "like"):
            base = "like"
    if ended:
        negated = False
    for pattern, to in _WORDS:
        rest = re.sub(pattern, to, rest)
    for pattern, to in _PREPOSITIONS:
        changed = re.sub(pattern, to, rest, count=1)
        if base == "move" and re.match(r"^(?:in|im|ins|nach|zu) ", rest):
            changed = re.sub(r"^(?:in die|in den|in das|in|ins|im|nach|zu) ", "to ", rest)
        if changed != rest:
            rest = changed
            break
    rest = re.sub(r" als (?=[A-ZÄÖÜ])", " as ", rest)
    rest = re.sub(r" (?:bei der|bei dem|beim|bei|an der) (?=\S)", " at ", rest)
    rest = re.sub(r" in (?:der|dem) (?=[A-ZÄÖÜ])| im (?=[A-ZÄÖÜ])", " in ", rest)
    rest = re.sub(r"^(?:eine?[nmrs]?) (?=\S)", "a ", rest)
    return Verb(base, rest.strip(" ,"), tense, negated=negated, ended=ended)
