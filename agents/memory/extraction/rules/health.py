"""Allergies, diets, lasting conditions, medication."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.memory.extraction import values
from agents.memory.extraction.model import Candidate, Clause, Subject
from agents.memory.extraction.rules.build import fact

_DIETS = (
    r"vegetarian|veggie|vegan|pescatarian|pescetarian|flexitarian|keto|halal|kosher|gluten[- ]free|teetotal|"
    r"teetotaller|teetotaler|sober"
)
_DRUG = (
    r"(?:warfarin|heparin|lisinopril|ramipril|sertraline|fluoxetine|citalopram|escitalopram|paroxetine|"
    r"venlafaxine|"
    r"duloxetine|mirtazapine|bupropion|amitriptyline|lithium|quetiapine|olanzapine|risperidone|aripiprazole|"
    r"lamotrigine|"
    r"levetiracetam|valproate|gabapentin|pregabalin|tramadol|codeine|morphine|oxycodone|ibuprofen|"
    r"paracetamol|"
    r"acetaminophen|aspirin|naproxen|diclofenac|celecoxib|methotrexate|humira|adalimumab|prednisone|"
    r"prednisolone|cortisone|"
    r"hydrocortisone|levothyroxine|l-thyroxine?|thyroxine|euthyrox|metformin|insulin|ozempic|wegovy|"
    r"mounjaro|semaglutide|"
    r"gliclazide|jardiance|atorvastatin|simvastatin|rosuvastatin|amlodipine|bisoprolol|metoprolol|atenolol|"
    r"propranolol|"
    r"candesartan|losartan|valsartan|furosemide|spironolactone|digoxin|clopidogrel|apixaban|eliquis|"
    r"rivaroxaban|xarelto|"
    r"marcumar|omeprazole|pantoprazole?|lansoprazole|esomeprazole|salbutamol|ventolin|montelukast|"
    r"cetirizine?|loratadine?|"
    r"fexofenadine|tamoxifen|letrozole|finasteride|tamsulosin|alendronate|allopurinol|colchicine|ritalin|"
    r"adderall|"
    r"methylphenidate|concerta|elvanse|vyvanse|strattera|xanax|diazepam|valium|zopiclone|melatonin|zoloft|"
    r"prozac|lexapro|"
    r"cymbalta|vitamin [a-z]\d*|iron tablets|folic acid|creatine|estrogen|oestrogen|testosterone|hrt|"
    r"the pill|sumatriptan)"
)
_CONDITIONS = (
    r"(?:type[- ]?[12] )?diabetes(?: type? [12])?|asthma|epilepsy|migraines?|high blood pressure|"
    r"hypertension|high cholesterol|long covid|pcos|rosacea|sciatica|angina|bronchitis|lupus|shingles|"
    r"coeliacs?|low blood pressure|arthritis|"
    r"rheumatism|coeliac disease|celiac disease|celiac|crohn'?s(?: disease)?|hay fever|adhd|add|autism|"
    r"depression|anxiety|insomnia|"
    r"sleep apn(?:o)?ea|tinnitus|psoriasis|eczema|osteoporosis|parkinson'?s(?: disease)?|alzheimer'?s(?: "
    r"disease)?|dementia|cancer|"
    r"multiple sclerosis|ms|fibromyalgia|thyroid (?:problems?|disease)|hypothyroidism|hashimoto'?s?|a "
    r"pacemaker|pacemaker|"
    r"heart (?:condition|disease|problems?)|endometriosis|scoliosis|glaucoma|ibs|reflux|gout|anaemia|"
    r"anemia|dyslexia|vertigo|"
    r"a (?:bad|herniated|slipped) (?:back|disc|knee)|herniated disc|chronic [\w ]+|[\w-]+ intolerance|"
    r"[\w-]+ allergy|"
    r"diabetes typ [12]|bluthochdruck|heuschnupfen|migräne|epilepsie|rheuma|[\w-]*unverträglichkeit|"
    r"[\w-]*allergie|"
    r"zöliakie|depressionen?|schuppenflechte|neurodermitis"
)


def health(clause: Clause) -> list[Candidate]:
    """Read "be allergic to peanuts", "be vegan", "be lactose intolerant", "be diagnosed with asthma"."""
    if clause.subject.kind not in ("owner", "person", "pet"):
        return []
    rest = re.sub(
        r"^(?:very|severely|highly|strictly|extremely|deathly|mildly|slightly|a|an|strict|lifelong|now|"
        r"currently|stark|also)\s+",
        "",
        clause.rest,
        flags=re.I,
    )
    if match := re.match(r"^allergic to (?P<v>.+)$", rest, re.IGNORECASE):
        return allergy(clause, match["v"])
    if match := re.match(
        rf"^(?:on (?:a|the) |following (?:a|the) |a |"
        rf"strict )?(?P<v>{_DIETS})s?\b(?: diet)?",
        rest,
        re.IGNORECASE,
    ):
        is_for_once = re.search(
            r" for (?!years|a long|decades|over|\d+ years|ages|ever)\w+$", clause.full_rest
        )
        if clause.negated or is_for_once or (clause.tense == "past" and not clause.used_to):
            return []
        value = match["v"].casefold().replace("veggie", "vegetarian")
        return fact(clause, "diet", value, f"is {value}", "health")
    if match := re.match(r"^(?P<what>[\w-]+)[ -]?intolerant\b(?: to (?P<to>.+))?", rest, re.IGNORECASE):
        what = values.topic(match["to"]) if match["to"] else match["what"].casefold()
        value = f"{what} intolerant"
        if clause.negated:
            return []
        return fact(clause, f"intolerance:{what}", value, f"is {value}", "health")
    if match := re.match(
        r"^(?:been )?(?:diagnosed with|suffering from|living with) (?P<v>.+)$", rest, re.IGNORECASE
    ):
        value = values.topic(match["v"])
        return (
            fact(clause, "condition", value, f"has {value}", "health", many=True)
            if value and not clause.negated
            else []
        )
    if match := re.match(
        r"^(?P<v>diabetic|asthmatic|epileptic|pregnant(?! with (?!twins|triplets|my|our|a (?:boy|girl)))|"
        r"colou?r[- ]?blind|left[- ]handed|"
        r"deaf|blind|dyslexic|"
        r"short-sighted|autistic|a? ?diabetic|coeliac|celiac|transgender|wheelchair[- "
        r"]bound|in a wheelchair)\b",
        rest,
        re.I,
    ):
        if clause.negated:
            return []
        value = match["v"]
        return fact(clause, f"condition:{value.casefold()}", value, f"is {value}", "health")
    return []


def allergy(clause: Clause, text: str) -> list[Candidate]:
    """Return the allergies in an enumeration."""
    found: list[Candidate] = []
    if clause.negated:
        return []
    for part in values.listed(values.cut(text)):
        what = values.bare(values.topic(part))
        if what:
            found += fact(clause, "allergy", what, f"is allergic to {what}", "health", many=True)
    return found


def has(clause: Clause) -> list[Candidate]:
    """Read "have type 2 diabetes", "suffer from migraines", "have a peanut allergy"."""
    if clause.subject.kind not in ("owner", "person", "pet") or clause.negated or clause.tense == "past":
        return []
    rest = re.sub(
        r"^(?:from|a|an|severe|bad|mild|really bad|terrible|frequent|chronic|some|starke|unter|eine?n?)\s+",
        "",
        clause.rest,
        flags=re.I,
    )
    rest = re.sub(r"^(?:from|a|an|severe|bad|mild|unter)\s+", "", rest, flags=re.I)
    if match := re.match(
        r"^(?P<v>[\w ]{2,30}?) allergy\b|^allerg(?:y|ies) to (?P<w>.+)$|^(?P<x>\w+?)(?:n|en)?allergie\b",
        rest,
        re.IGNORECASE,
    ):
        return allergy(clause, match["v"] or match["w"] or match["x"])
    if match := re.match(r"^(?P<v>\w+)intoleranz\b", rest, re.IGNORECASE):
        return fact(
            clause,
            f"intolerance:{match['v'].casefold()}",
            match[0],
            f"has a {match['v']} intolerance",
            "health",
        )
    if match := re.match(r"^(?P<v>[\w-]+) intolerance\b", rest, re.IGNORECASE):
        return fact(
            clause,
            f"intolerance:{match['v'].casefold()}",
            f"{match['v']} intolerance",
            f"has a {match['v']} intolerance",
            "health",
        )
    found: list[Candidate] = []
    for part in values.listed(rest.split(", ")[0]):
        if match := re.match(rf"^(?:a |an |bad |severe |mild )?(?P<v>{_CONDITIONS})\b", part, re.IGNORECASE):
            found += fact(
                clause, "condition", values.bare(match["v"]), f"has {match['v']}", "health", many=True
            )
    return found


def takes(clause: Clause) -> list[Candidate]:
    """Read "take metformin every morning", "take 5 mg of ramipril", "be on insulin"."""
    if (
        clause.subject.kind not in ("owner", "person", "pet")
        or (clause.negated and not clause.ended)
        or clause.tense in ("past", "future")
    ):
        return []
    rest = clause.rest
    if re.match(r"(?:today|tonight|this (?:week|morning|evening))\b", clause.when.phrase, re.IGNORECASE):
        return []
    if clause.verb == "be":
        known = re.match(
            r"^on (?P<v>(?:blood thinners?|(?:beta|ace|calcium)[ -](?:blockers?|inhibitors?)|"
            r"antidepressants?|statins?|"
            r"insulin|steroids|antihistamines|painkillers|antibiotics|the pill|hrt|thyroid (?:tablets|"
            r"pills))\b|"
            r"\d+ ?(?:mg|mcg|µg) (?:of )?(?P<drug>(?!now|a\b|per|daily|at|in|once|twice)[\w-]{4,}))",
            rest,
            re.IGNORECASE,
        )
        if known:
            value = known["drug"] or known["v"]
            return fact(clause, "medication", value, f"takes {value}", "health", many=True)
        if drug := re.match(
            rf"^(?:back |now )?(?:on|prescribed|put on|started on|taking) (?P<v>{_DRUG})\b", rest, re.I
        ):
            return fact(clause, "medication", drug["v"], f"takes {drug['v']}", "health", many=True)
        match = re.match(r"^on (?P<v>[\w-]+)$", rest)
        if (
            not match
            or not re.search(r"(?:in|ol|one|ide|am|pril|artan|statin|oxin|ine|pam|ium)$", match["v"])
            or match["v"] in ("vacation", "time", "call", "train", "line", "online")
        ):
            return []
        return fact(clause, "medication", match["v"], f"takes {match['v']}", "health", many=True)
    is_medicine = re.search(
        r"\b(?:mg|micrograms?|mcg|µg|ml|iu|blood thinners?|(?:beta|ace|calcium)[ -](?:blockers?|"
        r"inhibitors?)|antidepressants?|"
        rf"{_DRUG}|"
        r"statins?|painkillers|supplements?|the pill|steroids|tablets?|pills?|medication|medicine|"
        r"insulin|drops|inhaler|tabletten|vitamin \w+|antihistamines?|"
        r"\w{3,}(?:formin|pril|artan|statin|olol|pine|oxine|profen|cetamol|xaban|azole|parin|sone|pam|line|"
        r"etine|thyroxine|dipine|sartan|ine))\b",
        rest,
        re.IGNORECASE,
    )
    if not is_medicine or re.search(
        r"\b(?:medicine|line|wine|magazine|machine|medication) (?:at|to|for)\b", rest
    ):
        return []
    if both := re.match(
        r"^(?:morgens|mittags) (?P<a>[A-ZÄÖÜ]\w+),? und (?:mittags|abends) (?P<b>[A-ZÄÖÜ]\w+)$", rest
    ):
        return [
            one
            for v in both.groups()
            for one in fact(clause, "medication", v, f"takes {v}", "health", many=True)
        ]
    if several := re.fullmatch(r"([\w-]+),? and (?:an? )?([\w-]+)", values.cut(rest)):
        return [
            one
            for v in several.groups()
            for one in fact(clause, "medication", v, f"takes {v}", "health", many=True)
        ]
    value = values.topic(
        re.sub(
            r"^(?:(?:[\d.,]+ ?(?:mg|mcg|µg|g|ml|iu|micrograms?|milligrams?|drops)) (?:of )?|a |an |my )",
            "",
            values.cut(re.sub(r" (?:for|against|gegen) .*$", "", rest)),
        )
    )
    return (
        fact(clause, "medication", value, f"takes {value}", "health", many=True)
        if value and len(value.split()) <= 4
        else []
    )


def consumes(clause: Clause) -> list[Candidate]:
    """Read "do not eat meat", "do not drink alcohol", "only drink decaf"."""
    if not clause.subject.is_human or clause.tense not in ("present", "perfect") or clause.progressive:
        return []
    verb = clause.verb.removeprefix("can ")
    if clause.negated or clause.ended:
        what = values.bare(values.topic(re.sub(r"^(?:any|a lot of) ", "", clause.rest)))
        if (
            not what
            or re.search(r"\b(?:much|enough|before|after|today|this)\b", clause.rest)
            or clause.when.point
        ):
            return []
        if clause.verb.startswith("can "):
            return fact(clause, f"diet:no {what}", what, f"cannot {verb} {what}", "health", effect="states")
        return fact(clause, f"diet:no {what}", what, f"does not {verb} {what}", "health", effect="states")
    return []


def without(clause: Clause) -> list[Candidate]:
    """Read "be off dairy", "be doing keto", "went vegan", "cut out gluten", "gave up alcohol"."""
    if not clause.subject.is_human or clause.negated or clause.tense == "future":
        return []
    rest = values.cut(clause.rest)
    if clause.verb in ("go", "do", "follow", "try"):
        match = re.match(
            rf"^(?:on )?(?:a |the |full(?:y)? |completely )?(?P<v>{_DIETS}|veggie|paleo|low[- ]carb)s?\b",
            rest,
            re.I,
        )
        is_now = clause.tense in ("past", "perfect") if clause.verb == "go" else clause.tense == "present"
        is_for_once = re.search(
            r"\bfor (?:\w+ )?(?:days?|weeks?|month|january|lent)\b", clause.full_rest, re.I
        )
        if not match or not is_now or clause.verb == "try" or is_for_once:
            return []
        value = match["v"].casefold().replace("veggie", "vegetarian")
        return fact(replace(clause, tense="present"), "diet", value, f"is {value}", "health")
    match = re.match(
        rf"^(?:off|out|up|back on|cutting out|avoiding) (?P<v>(?:all )?(?:{_FOODS})\b)", rest, re.I
    )
    if not match or (clause.verb in ("cut", "give", "come") and clause.tense not in ("past", "perfect")):
        return []
    what = match["v"].casefold().removeprefix("all ")
    return fact(replace(clause, tense="present"), f"diet:no {what}", what, f"does not have {what}", "health")


_FOODS = (
    r"meat|red meat|pork|beef|fish|dairy|milk|cheese|eggs?|gluten|wheat|bread|carbs|sugar|alcohol|booze|"
    r"wine|beer|"
    r"caffeine|coffee|salt|nuts|soy|lactose|animal products|fast food|chocolate"
)


def tolerates(clause: Clause) -> list[Candidate]:
    """Read "do not tolerate lactose", in German "vertrage keine Nüsse"."""
    if not clause.subject.is_human or not clause.negated or clause.tense != "present":
        return []
    what = values.topic(clause.rest.split(", ")[0])
    if not what or len(what.split()) > 3:
        return []
    return fact(
        clause, f"intolerance:{what.casefold()}", what, f"does not tolerate {what}", "health", effect="states"
    )


def prescribed(clause: Clause) -> list[Candidate]:
    """Read "my doctor put me on sertraline", "started metformin last week"."""
    if clause.negated or clause.tense not in ("past", "perfect"):
        return []
    match = re.match(rf"^(?:me on |taking |on )?(?:\d+ ?mg (?:of )?)?(?P<v>{_DRUG})\b", clause.rest, re.I)
    if not match or (clause.subject.kind != "owner" and not clause.rest.startswith("me on ")):
        return []
    owner = replace(clause, subject=Subject(), tense="present")
    return fact(owner, "medication", match["v"], f"takes {match['v']}", "health", many=True)


def medicine_is(clause: Clause) -> list[Candidate]:
    """Read "my blood pressure medicine is lisinopril"."""
    is_medicine = re.search(
        r"\b(?:medicines?|medication|meds|tablets?|pills?|inhaler|blutdrucktabletten?|medikament)$",
        clause.subject.noun,
        re.I,
    )
    if clause.subject.kind != "thing" or not is_medicine or clause.negated or clause.tense != "present":
        return []
    value = values.cut(clause.rest).split(", ")[0]
    if not re.fullmatch(r"[\w-]+(?: \d+ ?mg)?", value) or not (
        re.search(_DRUG, value, re.I) or len(value) > 6
    ):
        return []
    owner = replace(clause.subject, noun="", kind="person" if clause.subject.path else "owner")
    return fact(replace(clause, subject=owner), "medication", value, f"takes {value}", "health", many=True)


RULES = {
    "put": [prescribed],
    "start": [prescribed],
    "be": [medicine_is, health, takes, without],
    "do": [without],
    "follow": [without],
    "go": [without],
    "cut": [without],
    "give": [without],
    "come": [without],
    "tolerate": [tolerates],
    "have": [has],
    "suffer": [has],
    "get": [has],
    "take": [takes],
    "eat": [consumes],
    "drink": [consumes],
    "can eat": [consumes],
    "can have": [consumes],
    "can drink": [consumes],
}
