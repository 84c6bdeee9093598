"""What a sentence changes of the facts that hold: "Sven moved out", "upgraded to a Pixel 8", "quit tesco".

The rules read what a sentence says by itself. Here it is read beside what is
known: what is ended or replaced is found by its value, whatever words it was
once stated with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from agents.memory.extraction import ending_words as words
from agents.memory.extraction import endings, exclusions, guard, matching, passing, values
from agents.memory.extraction.model import OWNER
from agents.memory.extraction.rewriting import plain_clauses
from agents.memory.extraction.sentences import Language, clauses, plain
from agents.memory.extraction.subjects import kin_of
from agents.memory.extraction.times import When, take_times
from schemas.memory import Fact, FactEffect

_DRINKS = frozenset("wine beer alcohol gin whisky whiskey cocktails booze champagne".split())
_MEATLESS = frozenset({"vegetarian", "vegan", "pescatarian", "pescetarian", "flexitarian"})


@dataclass(frozen=True)
class Change:
    """What becomes of a fact that holds: it ends, or another value takes its place."""

    fact: Fact
    effect: FactEffect
    attribute: str
    value: str
    text: str = ""
    when: When | None = None

    def covers(self, found: Fact) -> bool:
        """Say whether a fact that the rules found says no more than this change."""
        mine, its = matching.words_of(self.value), matching.words_of(found.value)
        if found.attribute == self.attribute and found.subject == self.fact.subject:
            return found.effect == self.effect or self.effect == "states"
        if self.effect == "ends" and found.attribute.endswith(".job") and found.value == "retired":
            return self.attribute.startswith(found.attribute.removesuffix("job"))  # "Dr. Lee retired"
        is_loose = found.attribute.partition(":")[0] in ("uses", "owns", "city", "employer", "decision")
        return is_loose and (mine == its or matching.words_of(self.fact.value) == its)

    def times(self, at: float) -> tuple[float, float | None] | None:
        """Return from when and until when the change holds."""
        when = self.when or When()
        start = when.until if self.effect == "ends" and when.until is not None else when.start
        return (start if start is not None else at), None


def holding(facts: Sequence[Fact]) -> list[Fact]:
    """Return of facts in the order of learning those that nothing has ended or replaced since."""
    last: dict[tuple[str, str], Fact] = {}
    for fact in facts:
        key = (fact.subject, fact.attribute)
        last.pop(key, None)
        if fact.effect != "ends" and fact.value:
            last[key] = fact
    return list(last.values())


def read(
    sentence: str,
    language: Language,
    active: Sequence[Fact],
    just_said: Sequence[Fact],
    at: float,
    zone: tzinfo,
) -> list[Change]:
    """Return what a sentence changes of the facts ``active``; ``just_said`` is what itself says."""
    if not active and not just_said:
        return []
    found: list[Change] = []
    left: list[Fact] = []  # whose place somebody else may take in the same sentence
    for said in plain_clauses(plain(sentence, language)):
        who = ""
        if match := words.CHANGED_WHOM.search(said):
            relation = kin_of(match["a"] or match["b"])
            left += [
                one
                for one in active
                if relation and one.subject == OWNER and one.attribute == f"{relation}.name"
            ]
        if match := words.NUMBER_NOW.match(said):
            name = "email" if "@" in match["v"] else "phone"
            slot = [fact for fact in active if fact.subject == OWNER and fact.attribute == name]
            if slot and slot[0].value != match["v"] and passing.is_number(match["v"]):
                found += _put(slot[0], match["v"], take_times(said, at, zone)[1])
                continue
        if words.TOGETHER_NO_MORE.match(said):
            found += [
                Change(fact, "ends", fact.attribute, fact.value, "", take_times(said, at, zone)[1])
                for fact in active
                if fact.subject == OWNER and fact.attribute in exclusions.COUPLE | exclusions.MARRIED
            ]
            continue
        for clause in clauses(said, is_question=False):
            if match := re.match(r"^(?:I|we|ich|wir)\b", clause, re.IGNORECASE):
                who = match[0]
            elif who and re.match(r"[a-z]+(?:ed|t|d)\b|(?:gave|got|went|quit|sold|left|gone)\b", clause):
                clause = f"{who} {clause}"
            if guard.is_unsure(clause):
                break
            text, when = take_times(clause, at, zone)
            if last_day := re.search(r"\blast day\b.*$", clause, re.IGNORECASE):
                when = take_times(last_day[0], at, zone)[1]  # it lies ahead
            text = words.as_done(text)
            text = re.sub(r" (?:now|already|altogether|completely|for good|sadly|after all)$", "", text)
            if (
                (match := words.SUCCESSOR.match(text))
                and left
                and not words.is_of_own(match["name"] or match["name2"])
            ):
                for change in _put(left[-1], values.cut(match["name"] or match["name2"]), when):
                    found = [one for one in found if one.fact is not left[-1]]
                    found.append(change)
                continue
            for change in _clause(text, when, active, just_said, sentence):
                if change.effect == "ends" and change.fact.attribute.partition(":")[0].endswith("name"):
                    left.append(change.fact)
                if not any(change.fact is one.fact and change.effect == one.effect for one in found):
                    found.append(change)
    return found


def _clause(
    text: str, when: When, active: Sequence[Fact], just_said: Sequence[Fact], sentence: str
) -> Iterator[Change]:
    if passing.is_for_a_while(text, when.phrase, sentence):
        return  # "I left Berlin this morning", "yoga is off today", "back in Bonn for the weekend"
    changes = list(_replaced(text, when, active))
    changes = changes or list(_ended_by_owner(text, when, active))
    changes = changes or list(_ended_by_itself(text, when, active))
    changes = changes or list(_elsewhere(text, when, active, just_said, sentence))
    yield from changes


def _replaced(text: str, when: When, active: Sequence[Fact]) -> Iterator[Change]:
    for pattern in words.REPLACED:
        match = pattern.match(text)
        if not match:
            continue
        groups = match.groupdict()
        new = values.cut(groups["new"])
        new = re.sub(r"^(?:an?|the|my|our|eine?[nmr]?|den|die|das) ", "", new, flags=re.I)
        new = re.sub(r" (?:in|since) \d{4}$", "", new)
        if not new or len(new.split()) > 6 or values.is_vague(new) or passing.PASSING.search(new):
            return
        old = values.cut(groups.get("old") or "")
        fact = matching.meant(old, active) if old else None
        if fact is None and match["verb"].casefold() in words.UPGRADING:
            fact = matching.same_make(new, active)
        if fact is None and groups.get("what"):
            what = matching.words_of(groups["what"])
            alike = [
                one for one in active if what and what <= matching.words_of(f"{one.subject} {one.attribute}")
            ]
            fact = (
                alike[0]
                if len(alike) == 1 and matching.shape(alike[0].value) == matching.shape(new)
                else None
            )
        if fact is not None and matching.words_of(fact.value) != matching.words_of(new):
            yield from _put(fact, new, when)
        return


def _put(fact: Fact, new: str, when: When) -> Iterator[Change]:
    base, colon, _ = fact.attribute.partition(":")
    text = fact.text.replace(fact.value, new) if fact.value in fact.text else f"{fact.text} Now: {new}."
    if not colon:
        yield Change(fact, "states", fact.attribute, new, text, when)
        return
    if base in ("favourite", "least favourite", "answers"):
        yield Change(fact, "states", fact.attribute, new, text, when)
        return
    yield Change(fact, "ends", fact.attribute, fact.value, "", when)
    yield Change(
        fact,
        "states",
        f"{base}:{' '.join(new.casefold().split())}",
        new,
        text.replace("No longer: ", ""),
        when,
    )


def _ended_by_owner(text: str, when: When, active: Sequence[Fact]) -> Iterator[Change]:
    for pattern in words.OWNER_ENDS:
        match = pattern.match(text)
        if not match:
            continue
        verb = match["verb"].casefold()
        said = values.cut(match["what"].split(", ")[0])
        what = words.plain_object(said)
        if not what:
            doing = [fact for fact in active if fact.subject == OWNER and words.is_done_by(said, fact)]
            if len(doing) == 1:
                yield Change(doing[0], "ends", doing[0].attribute, doing[0].value, "", when)
            return
        allowed = [fact for fact in active if fact.subject == OWNER and endings.may_end(verb, fact)]
        if verb.startswith(("start", "am eat", "eat")):
            return
        for fact in matching.all_meant(what, allowed):
            yield Change(fact, "ends", fact.attribute, fact.value, "", when)
        return
    if words.ENGAGEMENT_OFF.search(text):
        for fact in active:
            is_engaged = fact.attribute == "marital_status" and fact.value == "engaged"
            if fact.subject == OWNER and (
                is_engaged or fact.attribute in exclusions.COUPLE | {"fiancé.name", "fiancée.name"}
            ):
                yield Change(fact, "ends", fact.attribute, fact.value, "", when)
        return
    if match := words.PUT_DOWN.match(text):
        for fact in matching.all_meant(
            words.plain_object(match["what"] or match["what2"]),
            [one for one in active if endings.may_end_itself("died", one)],
        ):
            yield Change(fact, "ends", fact.attribute, fact.value, "", when)
        return
    if match := words.DRINKS_AGAIN.match(text):
        what = match["what"].casefold()
        for fact in active:
            avoided = fact.value.casefold() if fact.attribute.startswith("diet:no") else ""
            if (
                fact.subject == OWNER
                and avoided
                and (avoided in what or (avoided == "alcohol" and what in _DRINKS))
            ):
                yield Change(fact, "ends", fact.attribute, fact.value, "", when)
    if words.BIRTH.search(text):
        for fact in active:
            if fact.attribute.endswith("condition:pregnant"):
                yield Change(fact, "ends", fact.attribute, fact.value, "", when)
        return
    if words.EATS_AGAIN.match(text):
        for fact in active:
            if fact.attribute == "diet" and fact.subject == OWNER and fact.value.casefold() in _MEATLESS:
                yield Change(fact, "ends", fact.attribute, fact.value, "", when)


def _ended_by_itself(text: str, when: When, active: Sequence[Fact]) -> Iterator[Change]:
    for pattern in words.ITSELF_ENDS:
        match = pattern.match(text)
        if not match:
            continue
        who = words.plain_object(match["who"])
        verb = match["verb"].casefold()
        if not who or (verb == "left" and text.casefold().endswith("left") and not when.phrase):
            return  # "Karen left": for the day or for good
        allowed = [fact for fact in active if endings.may_end_itself(verb, fact)]
        for fact in matching.all_meant(who, allowed):
            yield Change(fact, "ends", fact.attribute, fact.value, "", when)
        return


def _elsewhere(
    text: str, when: When, active: Sequence[Fact], just_said: Sequence[Fact], sentence: str
) -> Iterator[Change]:
    """Read "we are with Vodafone now", "I am back in Oslo", "the admin is now Peter"."""
    if match := words.ON_AMOUNT.match(text):
        pay = [fact for fact in active if fact.subject == OWNER and fact.attribute == "salary"]
        if pay and pay[0].value != match["v"] and passing.is_pay(match["v"]):
            yield from _put(pay[0], match["v"], when)
        return
    if match := words.WITH.match(text):
        new = values.organisation(re.sub(r" (?:for|as) (?:our |the |my )?[\w ]+$", "", match["v"]))
        slots = [f for f in active if f.subject == OWNER and re.search(words.SERVICES, f.attribute)]
        trade = words.trade_of(new)
        named = [f for f in slots if passing.is_named_in(f.attribute, sentence)]
        slots = [f for f in slots if re.search(trade, f.attribute)] if trade else named
        if not slots and match["who"].casefold() in ("i", "ich") and passing.OF_WORK.search(sentence):
            slots = [f for f in active if f.subject == OWNER and f.attribute == "employer"]
        if new and len(slots) == 1 and matching.words_of(slots[0].value) != matching.words_of(new):
            yield from _put(slots[0], new, when)
        return
    if match := words.BACK_IN.match(text):
        home = [f for f in active if f.subject == OWNER and f.attribute == "city"]
        where = values.place(match["v"])
        is_settled = bool(match["back"]) or re.search(
            r"\b(?:left|moved|sold (?:the|our|my) (?:house|flat))\b", sentence
        )
        if (
            where
            and home
            and is_settled
            and matching.words_of(home[0].value) != matching.words_of(where)
            and matching.starts_high(where)
        ):
            yield from _put(home[0], where, when)
        return
    if match := words.JOB_AT.match(text):
        job = [f for f in [*active, *just_said] if f.subject == OWNER and f.attribute == "employer"]
        where = values.organisation(match["v"])
        if where and job and passing.OF_WORK.search(sentence) and matching.starts_high(where):
            yield from (
                _put(job[0], where, when)
                if matching.words_of(job[0].value) != matching.words_of(where)
                else ()
            )
        return
    if match := words.TAIL_SLOT.match(text) or words.SLOT_TAIL.match(text):
        noun = match["noun"].casefold()
        alike = [
            f
            for f in active
            if f.subject != "everybody"
            and (f.attribute == noun or f.attribute.endswith((f" {noun}", f".{noun}", f"_{noun}")))
        ]
        new = values.bare(values.cut(match["v"]))
        is_whole = not re.search(r" (?:in|at|on|for|of) (?:the|this|an?|my|our)\b", new)
        is_alike = is_whole and 0 < len(new.split()) <= 5 and len(alike) == 1
        if is_alike and matching.shape(new) == matching.shape(alike[0].value):
            yield from _put(alike[0], new, when)
