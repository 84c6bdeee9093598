"""Whose customer one is, what one pays, subscribes to, earns, and where one is registered."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import values
from agents.memory.extraction.ending_words import trade_of
from agents.memory.extraction.model import Candidate, Clause
from agents.memory.extraction.rules.build import fact, name_of
from agents.memory.extraction.subjects import is_name

_SERVICES = {
    "internet_provider": r"(?:home )?(?:broadband|internet|wi-?fi|wlan|fib(?:re|er)|cable|dsl)",
    "mobile_provider": r"(?:mobile|cell|phone|cell phone|mobile phone|sim|sim card|handy|handyvertrag|"
    "mobilfunk)"
    r"(?: (?:plan|contract|service))?",
    "electricity_provider": r"(?:electricity|electric|power|energy|leccy|strom)",
    "gas_provider": r"(?:gas|heating)",
    "car_insurance": r"(?:car|auto|vehicle) insurance",
    "home_insurance": r"(?:home|house|contents|household|building) insurance",
    "health_insurance": r"(?:health|medical|private health) insurance|krankenversicherung|krankenkasse",
    "pet_insurance": r"(?:pet|dog|cat) insurance",
    "insurance": r"insurance|versicherung",
    "bank": r"bank|banking|current account|girokonto|bank account",
    "pension_provider": r"pension",
}
_OF_SERVICE = {name: re.compile(rf"(?:{words})", re.IGNORECASE) for name, words in _SERVICES.items()}
_FIRM = r"(?P<v>(?:the )?[A-ZÄÖÜ\d][\w&.'+ -]*?)"
_AMOUNT = (
    r"(?P<v>(?:about |around |roughly )?(?:[£$€] ?\d[\d.,]*k?|\d[\d.,]*k? ?(?:euros?|€|eur|pounds?|quid|"
    r"dollars?|bucks|chf|"
    r"francs?|franken|gbp|usd))(?: (?:a|per|pro|im|every) (?:month|week|year|hour|day|monat|woche|jahr|"
    r"stunde))?)"
)


def _service(words: str) -> str:
    plain = re.sub(r"^(?:our|my|the|all our|both|unser\w*|mein\w*) ", "", words.strip().casefold())
    return next((name for name, pattern in _OF_SERVICE.items() if pattern.fullmatch(plain)), "")


def service_with(clause: Clause) -> list[Candidate]:
    """Read "our broadband is with Sky", "the car insurance is from Aviva", "is through Allianz"."""
    if (
        clause.subject.kind != "thing"
        or clause.negated
        or clause.ended
        or clause.tense not in ("present", "perfect")
    ):
        return []
    name = _service(clause.subject.noun)
    parts = clause.rest.split(", ")
    match = re.match(rf"^(?:now )?(?:with|from|by|through|at|over|bei|von|to) {_FIRM}$", values.cut(parts[0]))
    where = (
        (values.organisation(match["v"]) or (match["v"] if trade_of(match["v"]) else ""))
        if name and match
        else ""
    )
    if not where:
        return []
    owner = replace(clause.subject, noun="", kind="person" if clause.subject.path else "owner")
    label = f"{owner.possessive} {clause.subject.noun} is with {where}."
    found: list[Candidate] = []
    for part in parts[1:]:
        other = re.match(rf"^(?:and )?(?:the |our )?(?P<what>[\w ]+?) (?:is )?(?:with|from) {_FIRM}$", part)
        if other and (kind := _service(other["what"])):
            text = f"{owner.possessive} {other['what']} is with {other['v']}."
            found += fact(
                replace(clause, subject=owner), kind, other["v"], text, "identity", is_sentence=True
            )
    return found + fact(replace(clause, subject=owner), name, where, label, "identity", is_sentence=True)


def customer(clause: Clause) -> list[Candidate]:
    """Read "be with Octopus for gas", "have our broadband from Sky", "get our power from Eon"."""
    if not clause.subject.is_human or clause.negated or clause.tense not in ("present", "perfect"):
        return []
    rest = clause.rest.split(", ")[0]
    scheme = re.match(
        r"^(?:with|at|bei) (?:der |the )?(?P<what>[\w-]+) (?P<v>[A-ZÄÖÜ]{2,}\w*|[A-ZÄÖÜ]\w+)$", rest
    )
    if scheme and _service(scheme["what"]) and not clause.ended:
        name = _service(scheme["what"])
        return fact(clause, name, scheme["v"], f"has {scheme['v']} as {name.replace('_', ' ')}", "identity")
    match = re.match(
        rf"^(?:with|at|bei) {_FIRM} for (?P<what>[\w -]+?)(?:,? and (?P<more>[\w ]+?))?$", values.cut(rest)
    )
    if not match and clause.verb in ("get", "have"):
        match = re.match(
            rf"^(?P<what>(?:our|my|the|unser\w*|mein\w*) [\w -]+?) (?:from|with|through|at|von|bei) {_FIRM}$",
            values.cut(rest),
        )
    if not match:
        return []
    where = values.organisation(match["v"])
    named = [_service(part) for part in (match["what"], match.groupdict().get("more") or "") if part]
    found: list[Candidate] = []
    for name in named:
        if name and where and not clause.ended:
            found += fact(clause, name, where, f"has {where} as {name.replace('_', ' ')}", "identity")
    return found


def with_telecom(clause: Clause) -> list[Candidate]:
    """Read "be with EE": a firm that everybody knows as one of telephones."""
    match = re.match(r"^(?:with|bei) (?P<v>[A-ZÄÖÜ\d][\w&-]*(?: Media)?)(?: now)?$", clause.rest)
    is_known = match and trade_of(match["v"]).startswith("internet") and clause.tense == "present"
    if not match or not is_known or clause.negated or clause.subject.kind != "owner" or clause.ended:
        return []
    return fact(clause, "telecom_provider", match["v"], f"has {match['v']} as provider", "identity")


def member_at(clause: Clause) -> list[Candidate]:
    """Read "have a gym membership at FitX", "be a member at PureGym"."""
    match = re.match(
        r"^(?:an? )(?P<what>gym |club |swimming |golf |tennis )?(?:membership|member) (?:at|with|"
        r"of) (?P<v>[A-ZÄÖÜ][\w&' -]*)$",
        values.cut(clause.rest),
    )
    if (
        not match
        or (not match["what"] and clause.verb == "be")
        or clause.negated
        or clause.subject.kind != "owner"
        or clause.tense != "present"
    ):
        return []
    name = "gym" if match["what"] == "gym " else "member"
    return fact(clause, name, match["v"], f"is a member of {match['v']}", "habit", many=name != "gym")


def on_plan(clause: Clause) -> list[Candidate]:
    """Read "be on the O2 unlimited plan"."""
    match = re.match(
        r"^on (?:the |an? )?(?P<v>[\w&+ -]*?[A-Z\d][\w&+ -]*?) (?:plan|tariff|contract|deal|package|tarif|"
        r"subscription)$",
        values.cut(clause.rest),
    )
    if not match or clause.negated or not clause.subject.is_human or clause.tense != "present":
        return []
    return fact(clause, "tariff", match["v"], f"is on the {match['v']} plan", "identity")


def pays(clause: Clause) -> list[Candidate]:
    """Read "pay 950 euros rent", "pay £140 a month for gas", "earn 3,200 euros a month"."""
    if clause.subject.kind != "owner" or clause.negated or clause.tense not in ("present", "perfect"):
        return []
    whole = clause.full_rest or clause.rest
    if clause.verb == "earn":
        match = re.match(rf"^{_AMOUNT}", whole, re.I)
        return fact(clause, "salary", match["v"], f"earns {match['v']}", "work") if match else []
    match = re.match(
        rf"^{_AMOUNT},? (?:(?:a|per|every) month )?(?:for |in |of )?(?:the |our |"
        rf"my )?(?P<what>[\w -]{{2,30}})$",
        whole,
        re.I,
    )
    if not match:
        return []
    what = values.cut(match["what"]).casefold()
    if what in ("rent", "miete", "cold rent", "warm rent"):
        return fact(clause, "rent", match["v"], f"pays {match['v']} rent", "identity")
    if (
        len(what.split()) > 3
        or values.is_vague(what)
        or re.match(r"^(?:by|a|per|more|less|extra|each|every|and)\b", what)
    ):
        return []
    return fact(clause, f"{what} cost", match["v"], f"pays {match['v']} for {what}", "identity")


def subscribes(clause: Clause) -> list[Candidate]:
    """Read "subscribe to Disney+", "have a Netflix subscription", "am signed up to Zwift"."""
    if not clause.subject.is_human or (clause.negated and not clause.ended) or clause.tense == "future":
        return []
    rest = values.cut(clause.full_rest if "+" in clause.full_rest else clause.rest)
    match = (
        re.match(r"^(?:to |for )(?P<v>[A-ZÄÖÜ][\w+.& -]*)$", rest)
        if clause.verb in ("subscribe", "sign")
        else None
    )
    if clause.verb == "sign":
        match = re.match(r"^up (?:to|for|with) (?P<v>[A-ZÄÖÜ][\w+.& ]*)$", rest)
    if clause.verb in ("have", "be"):
        match = re.match(
            r"^(?:an? |our |my |subscribed to |signed up (?:to|"
            r"for) )(?P<v>[A-ZÄÖÜ][\w+.&]*(?: [A-ZÄÖÜ+][\w+]*)?)"
            r"(?: (?:\w+ )?(?:subscription|membership|account|abo))$",
            rest,
        ) or re.match(r"^(?:subscribed to|signed up (?:to|for)) (?P<v>[A-ZÄÖÜ][\w+.& ]*)$", rest)
    if not match:
        return []
    present = replace(clause, tense="present")
    return fact(present, "uses", match["v"], f"subscribes to {match['v']}", "technical", many=True)


def registered(clause: Clause) -> list[Candidate]:
    """Read "be registered with Dr. Osei", "be supervised by Tim", "go to Parkside Vets"."""
    if (
        clause.subject.kind not in ("owner", "person", "pet")
        or clause.negated
        or clause.tense not in ("present", "perfect")
    ):
        return []
    rest = values.cut(clause.rest)
    led = re.match(
        r"^(?:now )?(?:being )?(?:supervised|managed|line-managed|"
        r"led) by (?P<v>[A-ZÄÖÜ][\w.'-]+(?: [A-ZÄÖÜ][\w'-]+)?)$",
        rest,
    )
    if led and clause.subject.kind == "owner" and is_name(led["v"]):
        return name_of(
            replace(clause.subject, path="boss", label="The owner's boss", kind="person"), led["v"]
        )
    vet = re.match(
        r"^(?:registered )?(?:to|with|at|(?:his|her|its|their) \w+ (?:at|from|"
        r"done at)) (?P<v>[A-ZÄÖÜ][\w' -]* (?:Vets?|Veterinary \w+|Animal \w+))$",
        rest,
    )
    if vet and clause.subject.kind in ("owner", "pet"):
        return fact(clause, "vet", vet["v"], f"goes to {vet['v']}", "identity")
    doctor = re.match(
        r"^(?:a patient of|registered (?:with|at)|under|to see) (?P<v>(?:the )?(?:Dr\.? [A-ZÄÖÜ]\w+|"
        r"[A-ZÄÖÜ][\w' -]* (?:Surgery|"
        r"Practice|Medical (?:Centre|Center)|Health (?:Centre|Center)|Clinic)))$",
        rest,
    )
    if doctor and clause.subject.kind == "owner":
        return fact(clause, "doctor", values.bare(doctor["v"]), f"is a patient of {doctor['v']}", "health")
    return []


RULES = {
    "be": [service_with, customer, with_telecom, member_at, on_plan, subscribes, registered],
    "get": [customer, registered],
    "have": [customer, member_at, subscribes],
    "come": [service_with],
    "pay": [pays],
    "earn": [pays],
    "subscribe": [subscribes],
    "sign": [subscribes],
    "go": [registered],
}
