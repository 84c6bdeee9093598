"""What each of the words by which something ends can end."""

from __future__ import annotations

from schemas.memory import Fact

_PETS = (
    "dog",
    "cat",
    "horse",
    "rabbit",
    "hamster",
    "guinea pig",
    "parrot",
    "budgie",
    "tortoise",
    "goldfish",
    "pet",
)
_HOUSE = ("roommate", "lodger", "tenant", "lives_with", "babysitter", "au pair")
_COUPLE = ("partner", "girlfriend", "boyfriend", "fiancé", "fiancée")
_FAMILY = frozenset(
    "wife,husband,mother,father,sister,brother,son,daughter,child,aunt,uncle,cousin,niece,nephew,grandmother,"
    "grandfather,grandson,granddaughter,spouse,friend,stepmother,stepfather,baby,twin,parents,best friend,"
    "mother-in-law,father-in-law,sister-in-law,brother-in-law".split(",")
)
_LEAVING = (
    *("retired", "left", "quit", "gone", "fired", "let go", "stepped", "stood", "resigned", "handed"),
    *(
        "changed jobs",
        "zurückgetreten",
        "in rente",
        "in pension",
        "pensioniert",
        "gekündigt",
        "aufgehört",
        "uns",
    ),
)


def _relation(fact: Fact) -> str:
    base = fact.attribute.partition(":")[0]
    path, _, last = base.rpartition(".")
    return path.rpartition(".")[2] if last == "name" else ""


def may_end(verb: str, fact: Fact) -> bool:
    """Say whether what the owner does by a verb can end a fact."""
    relation = _relation(fact)
    base = fact.attribute.partition(":")[0]
    if fact.kind in ("note", "date") or base in (
        "name",
        "nickname",
        "birthplace",
        "hometown",
        "origin",
        "nationality",
    ):
        return False
    if verb.startswith(("broke", "split")):
        return relation in _COUPLE
    if (
        verb.startswith(("stopped", "fired", "sacked", "let go", "quit", "dropped", "ditched", "done with"))
        and relation
    ):
        return relation not in _FAMILY and relation not in _PETS + _COUPLE
    if (
        verb.startswith("stopped")
        and fact.kind == "identity"
        and base in ("personal trainer", "tutor", "coach", "therapist")
    ):
        return True
    if relation:
        return (relation in _COUPLE and verb == "left") or (
            relation in _PETS and verb.startswith(("rehomed", "gave", "given", "lost"))
        )
    if verb == "finished" and fact.kind not in ("plan", "project", "study", "technical", "health"):
        return False
    if verb.startswith(("left", "leav", "moved out", "verlassen")):
        return fact.kind in ("work", "study", "project", "habit", "technical") or base in (
            "city",
            "member",
            "gym",
        )
    if base == "collects":
        return verb in (
            "sold",
            "gave up",
            "gave away",
            "stopped",
            "stop",
            "verkauft",
            "given up",
            "ditched",
            "lost",
        )
    if verb in (
        "lost",
        "verloren",
        "sold",
        "selling",
        "verkauft",
        "gave",
        "gave away",
        "given away",
        "scrapped",
    ):
        return fact.kind in ("possession", "technical") or base in ("pet", "employer")
    if verb in ("no longer", "not"):
        return False  # the rules read these
    return fact.kind not in ("identity", "relation") or base in ("gym", "team", "member", "tariff", "bank")


def may_end_itself(verb: str, fact: Fact) -> bool:
    """Say whether what happens to somebody or something can end a fact."""
    relation = _relation(fact)
    base = fact.attribute.partition(":")[0]
    if verb.startswith(
        ("died", "dead", "passed", "put ", "ran away", "run", "gestorben", "verstorben", "eingesch", "einsch")
    ):
        return relation in _PETS or (verb in ("died", "dead") and fact.kind == "possession")
    if verb.startswith(("finished", "over", "off", "closed")) and fact.kind == "habit":
        return False  # this time
    if verb.startswith(("weggeb", "abgeb", "verkauf")) and relation in _PETS:
        return True
    if verb.startswith(("returned", "went back", "gone back", "went home")):
        return relation in _HOUSE or (not relation and fact.kind == "possession")
    if verb.startswith(("moved", "ausgezogen", "weggezogen", "umgezogen")):
        if (
            relation
            and relation not in _FAMILY
            and relation not in _PETS + _COUPLE + _HOUSE
            and "out" not in verb
        ):
            return True  # "Dr. Kim moved away"
        return relation in _HOUSE or base == "lives_with" or (relation == "neighbour" and "out" not in verb)
    if verb.startswith(("dumped", "broke up")):
        return relation in _COUPLE
    if relation:
        is_leaving = verb.startswith(_LEAVING)
        return (is_leaving and relation not in _FAMILY and relation not in _PETS + _COUPLE) or (
            verb.startswith("gone") and relation in _PETS
        )
    if verb.startswith(
        (
            "sold",
            "stolen",
            "scrapped",
            "written",
            "total",
            "gestohlen",
            "geklaut",
            "verkauft",
            "decomm",
            "came off",
        )
    ):
        return fact.kind in ("possession", "technical")
    if verb.startswith(
        ("retired", "left", "quit", "fired", "let go", "weg", "gone", "aufgehört", "gekündigt")
    ):
        return False
    if verb.startswith(("stepped", "stood", "resigned", "handed", "promoted")):
        return fact.kind in ("identity", "project", "work") and base.split()[-1] not in (
            "job",
            "employer",
            "city",
        )
    if verb.startswith(("broke", "kaputt", "repossessed")):
        return False
    return fact.kind in ("plan", "project", "habit", "technical", "study") or base == "gym"
