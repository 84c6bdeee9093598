"""Names, ages, relations, animals, languages."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import lexicon as words
from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause, Subject
from agents.memory.extraction.rules.build import fact, name_of
from agents.memory.extraction.rules.relatives import has_kin, listed_kin
from agents.memory.extraction.subjects import is_name, kin_of

NATIONALITIES = frozenset(
    """
    german english british american french italian spanish polish dutch belgian austrian swiss swedish
    norwegian danish finnish russian ukrainian turkish greek portuguese irish scottish welsh canadian
    australian brazilian mexican indian chinese japanese korean vietnamese thai iranian persian iraqi
    syrian lebanese israeli egyptian moroccan nigerian kenyan ghanaian ethiopian hungarian czech slovak
    romanian bulgarian croatian serbian bosnian albanian lithuanian latvian estonian argentinian chilean
    colombian peruvian pakistani filipino indonesian arabic hebrew hindi urdu mandarin cantonese latin
    esperanto farsi catalan swahili deutsch englisch französisch spanisch italienisch polnisch türkisch
    russisch niederländisch portugiesisch schwedisch dänisch griechisch arabisch ukrainisch chinesisch
    japanisch kroatisch serbisch ungarisch tschechisch rumänisch
""".split()
)
_UNITS = "one|two|three|four|five|six|seven|eight|nine"
_AGE = re.compile(
    r"^(?:about |almost |nearly |only |over )?(?P<age>\d{1,3}|"
    rf"(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[- ](?:{_UNITS}))?|{_UNITS}|ten|eleven|"
    rf"twelve|"
    r"(?:thir|four|fif|six|seven|eigh|nine)teen)"
    r"(?P<unit> (?:and a half )?(?:years?|months?|weeks?|yrs?)(?: old| of age)?|[- ]?y/?o)?(?=$|,| and |"
    r" und | in | now| today| this| last)",
    re.IGNORECASE,
)
_MARITAL = re.compile(
    r"^(?:happily |recently |newly |freshly )?(?P<state>married|single|divorced|engaged|widowed|separated|"
    r"in a relationship)(?![-\w]| (?:from (?!my|the father|(?-i:[A-ZÄÖÜ]))|to (?:my|the) (?:job|work|sea|"
    r"game|idea)))"
    r"(?:,? (?:to|with) (?P<who>[A-ZÄÖÜ][\w-]+))?",
    re.IGNORECASE,
)
_CALLED = re.compile(r"^(?:called|named|known as|nicknamed)\s+(?P<name>.+)$", re.IGNORECASE)


_A_NAMED = re.compile(
    r"^(?:an?|eine?) (?P<what>(?:(?!at |in |of |for |with |from )[\w-]+ ?){1,4}?),? ?(?:called|named|"
    r"namens) (?P<name>[A-ZÄÖÜ][\w'-]*(?: [A-ZÄÖÜ][\w'-]*)?)$"
)
_BREED = re.compile(
    r"\b(?:[\w-]+ )?(?:beagle|labrador|poodle|terrier|shepherd|collie|husky|dachshund|pug|retriever|spaniel|"
    r"boxer|"
    r"bulldog|chihuahua|corgi|mongrel|mutt|schnauzer|setter|hound|whippet|dalmatian|rottweiler|dobermann?|"
    r"vizsla|"
    r"weimaraner|maltese|shih tzu|tabby|siamese|persian|maine coon|ragdoll|shorthair|longhair|bengal|mix|"
    r"labradoodle|cockapoo|pudel|schäferhund|mischling|dackel|mops|tabby cat|tomcat|hovawart)\b",
    re.IGNORECASE,
)


def is_breed(clause: Clause) -> list[Candidate]:
    """Read "our dog is a beagle", "Balu is a black Labrador"."""
    match = re.match(r"^(?:an?|eine?) (?P<v>[\w -]+)$", values.cut(clause.rest))
    if clause.subject.kind != "pet" or clause.negated or not match or clause.tense == "past":
        return []
    breed = _BREED.search(match["v"])
    return _of_breed(clause, breed[0]) if breed else []


def _of_breed(clause: Clause, breed: str) -> list[Candidate]:
    what = re.sub(r"^(?:\S*-old|an?|little|lovely) ", "", breed)
    return fact(clause, "breed", what, f"is a {what}", "possession")


def is_called(clause: Clause) -> list[Candidate]:
    """Read "be called Anna", "be named Anna"; for the owner also "I am Paul"."""
    if clause.negated or clause.tense == "past" or clause.subject.name == "everybody":
        return []
    rest = clause.rest
    called = _CALLED.match(rest) if clause.verb == "be" else None
    if (clause.verb == "be called" or called) and clause.subject.path.rpartition(".")[2] in words.KIN_PLURAL:
        names = called["name"] if called else rest
        return listed_kin(replace(clause, rest=names), clause.subject.path.rpartition(".")[2])
    if clause.verb == "be called":
        name = rest
    elif clause.verb == "call" and re.match(r"^(?:me|him|her|it|myself) ", rest, re.I):
        name = rest.split(" ", 1)[1]
    elif called:
        name = called["name"]
    elif clause.verb == "be" and clause.subject.kind == "owner":
        name = rest.split(",")[0]
        if not re.match(r"^[A-ZÄÖÜ]", name) or _is_kind_of(name):
            return []
        if clause.language == "de" and values.job(rest):
            return []  # nouns have capitals too
        name = re.split(r" (?:from|and|in|by|aus|und|von)\b", name)[0]
        if not is_name(name) or len(name.split()) > 3 or re.search(r"(?:ans|ians|ers|ites)$", name):
            return []
        if re.match(r"^(?:Team|Mr|Mrs|Ms|Captain|Queen|King)\b", name) or clause.when.phrase:
            return []  # "I am Team Edward", "I am Cinderella today"
        return [*name_of(clause.subject, name), *_behind_name(clause, rest)]
    elif match := _A_NAMED.match(rest) if clause.verb == "be" and clause.subject.path else None:
        if not is_name(match["name"]):
            return []
        breed = _BREED.search(match["what"]) if clause.subject.kind == "pet" else None
        return [*name_of(clause.subject, match["name"]), *(_of_breed(clause, breed[0]) if breed else [])]
    elif clause.verb == "be" and clause.subject.path and clause.subject.kind in ("person", "pet"):
        # "Our landlord is Mr. Weber"; "my kids are Theo (11), Ida (8) and Max"
        kin = clause.subject.path.rpartition(".")[2]
        if kin in words.KIN_PLURAL or (kin in words.PETS and "," in rest):
            return listed_kin(clause, kin)
        name = re.split(r",| (?:now|since|again|at|on|in|from|bei|in|aus)\b", rest)[0]
        if (clause.language == "de" and not re.match(r"^(?:Herr|Frau|Dr)\b", name)) or values.job(name):
            return []
        if (
            not re.match(r"^(?:(?:Mr|Mrs|Ms|Dr|Prof|Herr|Frau)\b|[A-ZÄÖÜ])", name)
            or _is_kind_of(name)
            or not is_name(name)
        ):
            return []
        return name_of(clause.subject, name)
    else:
        return []
    name = re.split(r",| (?:and|but|because|from|is|are|like|after|und)\b", name)[0].strip(" \"'")
    if clause.subject.kind == "thing" or not is_name(name, lower=True):
        return []
    if clause.subject.name != "owner" and not clause.subject.path and clause.verb != "call":
        return []  # its name is known: a pronoun was taken for the wrong one
    return [*name_of(clause.subject, name), *_age_behind(clause, rest)]


def called_by_others(clause: Clause) -> list[Candidate]:
    """Read "everyone calls me Kat", "my friends call me Jo"."""
    match = re.match(r"^me (?P<v>[A-ZÄÖÜ][\w-]+)$", values.cut(clause.rest))
    if not match or clause.negated or clause.tense != "present" or not is_name(match["v"]):
        return []
    return fact(
        replace(clause, subject=Subject()),
        "nickname",
        match["v"],
        f"is called {match['v']} by others",
        "identity",
    )


def goes_by(clause: Clause) -> list[Candidate]:
    """Read "go by Teddy, short for Theodora"."""
    match = re.match(r"^by (?P<v>[A-ZÄÖÜ][\w-]+)$", values.cut(clause.rest.split(", ")[0]))
    if not match or clause.negated or clause.tense != "present" or not is_name(match["v"]):
        return []
    found = fact(clause, "nickname", match["v"], f"goes by {match['v']}", "identity")
    full = re.search(r", (?:which is )?short for (?P<v>[A-ZÄÖÜ][\w-]+)", clause.rest)
    return found + (name_of(clause.subject, full["v"]) if full and clause.subject.kind == "owner" else [])


def age(clause: Clause) -> list[Candidate]:
    """Read "be 34", "turn 40"."""
    if clause.negated or clause.subject.kind == "thing" or not clause.subject.is_known:
        return []
    match = _AGE.match(clause.rest)
    if not match or (clause.tense not in ("present", "perfect") and clause.verb != "turn"):
        return []
    if clause.verb == "turn" and (clause.tense == "future" or clause.progressive or clause.when.future):
        return []
    value = match["age"] + (match["unit"] if match["unit"] and re.search("month|week", match["unit"]) else "")
    value = value.removesuffix(" old")
    unit = "" if re.search("month|week", value) else " years"
    rest = clause.rest[match.end() :].lstrip(", ")
    more = is_called(replace(clause, rest=rest)) if rest.startswith(("called", "named")) else []
    return [*fact(clause, "age", value, f"is {value}{unit} old", "identity"), *more]


def marital(clause: Clause) -> list[Candidate]:
    """Read "be married to Carla", "be divorced"."""
    match = _MARITAL.match(clause.rest)
    if not match or clause.negated or clause.tense == "past":
        return []
    state = match["state"].casefold()
    found = fact(clause, "marital_status", state, f"is {state}", "relation")
    if match["who"] and clause.subject.is_human and is_name(match["who"]):
        found += fact(
            clause,
            "spouse.name" if state == "married" else "partner.name",
            match["who"],
            f"is {state} to {match['who']}",
            "relation",
        )
    return found


def nationality(clause: Clause) -> list[Candidate]:
    """Read "be German", "be half Italian"."""
    match = re.match(r"^(?P<v>(?:half[- ])?(?P<n>[A-Za-z]+))(?:$|,| and | but | by )", clause.rest)
    if not match or clause.negated or clause.tense == "past" or match["n"].casefold() not in NATIONALITIES:
        return []
    if clause.subject.kind == "thing":
        return []
    return fact(clause, "nationality", match["v"], f"is {match['v']}", "identity")


def relation(clause: Clause) -> list[Candidate]:
    """Read "Tom is my brother", "Anna is Tom's wife"."""
    match = re.match(
        r"^(?:(?P<mine>my|our|mein\w*|unser\w*)|(?P<name>[A-ZÄÖÜ][\w-]+)'s?) (?P<adjective>(?:[\w-]+ )"
        r"{0,2}?)(?P<kin>scrum master|tech lead|project manager|line manager|estate agent|"
        r"[\w-]+(?:[- ]in[- ]law)?)$",
        re.sub(r" (?:now|again)$", "", clause.rest.split(",")[0].split(" and ")[0].strip()),
        re.IGNORECASE,
    )
    kin = kin_of(match["kin"]) if match else ""
    if not match or not kin or clause.negated or clause.subject.kind == "owner" or clause.tense == "past":
        return []
    if kin == "friend" and "best" in match["adjective"].casefold():
        kin = "best friend"
    if clause.subject.kind == "thing" or (clause.subject.name == "owner" and not clause.subject.path):
        return []
    name = clause.subject.name if clause.subject.name != "owner" else clause.subject.label.rpartition(" ")[2]
    base = Subject() if match["mine"] else Subject(name=match["name"], label=match["name"], kind="person")
    return name_of(replace(base, path=kin, label=f"{base.possessive} {kin}"), name)


def speaks(clause: Clause) -> list[Candidate]:
    """Read "speak German and a bit of Polish"."""
    if clause.negated or clause.tense == "past":
        return []
    found: list[Candidate] = []
    for part in values.listed(clause.rest):
        plain = re.sub(
            r"^(?:fluent(?:ly)?|native|some|basic|a little(?: bit of)?|a bit of|good|broken|"
            r"only|fließend|etwas|ein bisschen) ",
            "",
            part,
            flags=re.I,
        )
        plain = re.split(
            r" (?:fluently|natively|at|with|quite|pretty|as|very|to|well|a bit|a little|fließend)\b", plain
        )[0]
        if plain.casefold() in NATIONALITIES:
            found += fact(clause, "speaks", plain, f"speaks {plain}", "identity", many=True)
    return found


def _behind_name(clause: Clause, rest: str) -> list[Candidate]:
    """Read what follows in "I am Hank, 61, a firefighter from Tulsa"."""
    found = _age_behind(clause, rest)
    if match := re.search(r"\b(?:from|aus) (?P<v>[A-ZÄÖÜ].*)$", rest):
        where = values.place(re.split(r" (?:and|und) ", match["v"])[0])
        found += fact(clause, "origin", where, f"comes from {where}", "place") if where else []
    found += described(clause, rest)
    for part in rest.split(", ")[1:]:
        bare = re.match(r"^(?P<job>[\w -]+?)(?: (?:in|from|based in|aus) (?P<where>[A-ZÄÖÜ][\w -]+))?$", part)
        if (
            bare
            and values.job(bare["job"])
            and not re.match(r"^(?:working|an?|currently|formerly|ex-|ich|und)\b", part)
        ):
            found += fact(clause, "job", values.job(bare["job"]), f"is a {values.job(bare['job'])}", "work")
            where = values.place(bare["where"]) if bare["where"] else ""
            named, lives = (
                ("origin", "comes from") if re.search(r" (?:from|aus) ", part) else ("city", "lives in")
            )
            if where and not any(one.attribute == named for one in found):
                found += fact(clause, named, where, f"{lives} {where}", "place")
            return found
        if re.fullmatch(r"(?:they/them|she/her|he/him|she/they|he/they)", part):
            found += fact(clause, "pronouns", part, f"has the pronouns {part}", "identity")
    title = re.search(r",? (?:an?|von Beruf|und von Beruf|eine?) (?P<v>[\w -]+)", rest)
    job = values.job(title["v"], is_certain="Beruf" in title[0]) if title else ""
    return found + (fact(clause, "job", job, f"is a {job}", "work") if job else [])


def described(clause: Clause, rest: str) -> list[Candidate]:
    """Read the age and the place in "a 38-year-old civil engineer living in Nottingham"."""
    found: list[Candidate] = []
    if match := re.search(r"\b(?P<v>\d{1,3})[- ]years?[- ]old\b", rest):
        found += fact(clause, "age", match["v"], f"is {match['v']} years old", "identity")
    if match := re.search(r"\b(?:living|based) in (?P<v>[A-ZÄÖÜ].*)$", rest):
        where = values.place(match["v"])
        found += fact(clause, "city", where, f"lives in {where}", "place") if where else []
    return found


def has_birthday(clause: Clause) -> list[Candidate]:
    """Read "have my birthday on 14 May", in German "habe am 14. Mai Geburtstag"."""
    if clause.negated or clause.rest not in (
        "Geburtstag",
        "my birthday",
        "a birthday",
        "his birthday",
        "her birthday",
    ):
        return []
    day = re.sub(r"^(?:on|am|in|im) ", "", clause.when.phrase, flags=re.IGNORECASE)
    is_date = re.search(r"\d", day) and clause.tense == "present"
    return fact(clause, "birthday", day, f"has their birthday on {day}", "date") if is_date else []


def measures(clause: Clause) -> list[Candidate]:
    """Read "weigh 83 kilos", "be 1.87 m tall"."""
    if (
        clause.negated
        or clause.subject.kind == "thing"
        or clause.tense == "past"
        or not clause.subject.is_known
    ):
        return []
    if clause.verb == "weigh":
        match = re.match(
            r"^(?:about |around )?(?P<v>[\d.,]+ ?(?:kilos?|kg|pounds|lbs|stone|kilograms?))", clause.rest
        )
        return fact(clause, "weight", match["v"], f"weighs {match['v']}", "health") if match else []
    match = re.match(
        r"^(?:about |around )?(?P<v>\d[\d.,']* ?(?:m|cm|metres?|meters?|feet|ft|foot|\")?(?: ?\d+)?(?: "
        r"inches| in)?) (?:tall|groß)\b",
        clause.rest,
    )
    return fact(clause, "height", match["v"], f"is {match['v']} tall", "identity") if match else []


def will_be(clause: Clause) -> list[Candidate]:
    """Read "will be nine on February 3rd"; "is turning 40 on Friday"."""
    match = _AGE.match(clause.rest)
    is_dated = clause.verb == "turn" and clause.when.future and re.search(r"\d", clause.when.phrase)
    if (
        not match
        or not (clause.tense == "future" or clause.progressive or is_dated)
        or not clause.when.phrase
        or not clause.subject.is_known
    ):
        return []
    day = re.sub(r"^(?:on|in) ", "", clause.when.phrase)
    return fact(clause, "birthday", day, f"turns {match['age']} on {day}", "plan")


def _is_kind_of(name: str) -> bool:
    return name.split()[0].casefold() in NATIONALITIES | {
        "catholic",
        "muslim",
        "jewish",
        "christian",
        "buddhist",
        "hindu",
    }


def _age_behind(clause: Clause, rest: str) -> list[Candidate]:
    """Read the age in "I am Paul, 34, and …"."""
    match = re.search(
        r"(?:,| and| und) (?:I am |ich bin )?(?P<age>\d{1,2})(?: (?:years? old|Jahre alt))?(?=,|$| and| "
        r"und| from)",
        rest,
    )
    return fact(clause, "age", match["age"], f"is {match['age']} years old", "identity") if match else []


RULES = {
    "weigh": [measures],
    "be": [will_be, measures, is_called, is_breed, age, marital, relation, nationality],
    "be called": [is_called],
    "call": [is_called, called_by_others],
    "go": [goes_by],
    "turn": [will_be, age],
    "have": [has_birthday, has_kin],
    "get": [has_kin],
    "find": [has_kin],
    "hire": [has_kin],
    "adopt": [has_kin],
    "keep": [has_kin],
    "own": [has_kin],
    "buy": [has_kin],
    "speak": [speaks],
    "can speak": [speaks],
}
