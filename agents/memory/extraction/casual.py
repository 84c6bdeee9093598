"""Sentences as they are typed on a telephone, put into the spelling that the rules read."""

from __future__ import annotations

import re
from typing import Literal

from agents.memory.extraction import lexicon

_KIN = "|".join(sorted((re.escape(word) for word in lexicon.KIN if " " not in word), key=len, reverse=True))
_OWNED = "|".join(sorted(map(re.escape, [*lexicon.KIN, *lexicon.THINGS]), key=len, reverse=True))
_OF_SOMEONE = (
    r"(?:names?|birthday|bday|job|phone|number|car|email|address|school|teacher|boss|wedding|surname|"
    r"nickname|"
    r"age|diet|breed|vet|new \w+)"
)
_PAST = (
    r"(?:quit|left|got (?:an?|the|my|our|rid|married|divorced|engaged|promoted|hired)|adopted|cancell?ed|"
    r"upgraded|downgraded|stopped|gave up|given up|lost (?:my|our|the)|broke up|split up|swapped|replaced|"
    r"traded|transferred|signed up|enrolled|subscribed|dropped|moved|bought|sold|started|switched|joined|"
    r"graduated|retired (?:in|last|at|early|from)|married|turned \d|ditched|changed (?:my|our|jobs?|to|"
    r"from)|went (?:vegan|vegetarian|"
    r"veggie|keto|part|full|freelance))"
)
_STATE = (
    r"(?:working (?:as|at|for)|driving an?|living (?:in|at|with)|doing keto|taking \d+|seeing someone|dating "
    r"[A-Z]\w+|learning|studying [\w ]+ at|engaged|single|separated|back in [A-Z]\w+|off (?:meat|dairy|"
    r"gluten|sugar|"
    r"alcohol|booze|caffeine|coffee|carbs|wheat)|with [A-Z]\w+ (?:for|now)|allergic to|vegan|vegetarian)"
)
_ADVERBS = r"(?:(?:just|recently|finally|already|also|now|still|currently|officially|so) )*"
_EN: tuple[tuple[str, str], ...] = (
    (r"^(?:(?:ha){2,}h?|lo+l|hehe|lmao|omg|ugh|argh|yikes|woohoo|yay|phew|whoa|wow)[,!. ]+(?=\w)", ""),
    (r"^(?:(?:btw|by the way|fyi|oh|and|also|ok|so|anyway|well|ah|hey|right|quick one|allergy wise|diet wise)[, ]+)+"
     r"(?=(?-i:[A-ZÄÖÜ]))", ""),
    (r"\b(?:are|'re|re) (?:no longer|not) together(?: any ?more)?\b", " are no longer a couple"),
    (r"\b(do not|don't|dont|never) touch (?=\w+(?:$|[,.!]))", r"do not eat "),
    (r"\b([A-ZÄÖÜ]\w+)['’]s (?=(?:off|cancell?ed|over|gone|dead|broken|sold|out)(?:$|[,.!]))", r"\1 is "),
    (r"\b((?-i:[A-Z])\w+)['’]s gone (?:off )?to ", r"\1 goes to "),
    (r"^home is (?=(?-i:[A-Z]))([\w ]+?)(?: for (?:me|us))?(?: now)?$", r"I live in \1"),
    (r"^((?-i:[A-Z])\w+(?: (?-i:[A-Z])\w+)?) is home(?: now| for me)?$", r"I live in \1"),
    (r"\b(?:today|yesterday|\w+day) (?:was|is) my (?:very )?last day (?:at|with) ", "I left "),
    (r"\bits (?=(?:an?|the|only|called|named|now|not|my|our|about|actually|just|in|on|at|\d)\b)", "it is "),
    (r"\b(that|there|where|here)s (?=\w)", r"\1 is "),
    (rf"\b(my|our|his|her) ((?:\w+ )?(?:{_KIN}))s (?={_OF_SOMEONE}\b)", r"\1 \2's "),
    (rf"\b(my|our) ((?:\w+ )?(?:{_KIN}))s (?=(?:called|named|allergic|vegan|vegetarian|an?)\b)", r"\1 \2 is "),
    (rf"^(?=(?:{_OWNED})'s? (?:names?|breed|birthday|plate|reg|number|model) is\b)", "my "),
    (rf"^(?=(?:{_OWNED}) is (?:called|named) )", "my "),
    (r"^(?:i do not have|i dont have|i don't have|no|not) an? (?:daughters?|sons?|kids?|dogs?|cats?|brothers?|sisters?),? (?:but |just |only )+"
     r"(?=(?:an?|one|two|three|four|\d) )", "I have "),
    (r"(?<=, )its (?=an? )", "it is "),
    (r"\b(his|her|their|my|our|the|phone|tel|mobile) no\.?(?= is\b| ?:)", r"\1 number"),
    (r"(?<=\d )yrs?\b|(?<=\ba )yr\b", "years"),
    (r"(?<=\d )(?:mths?|mos)\b", "months"),
    (r"(?<=\d )wks?\b", "weeks"),
    (r"\bw/ ?(?=\w)", "with "),
    (r"\b(?:bc|cuz|coz|cos)\b", "because"),
    (r"\b(?:fav|fave)\b(?= \w)", "favourite"),
    (r"^(?:i )?(?:(?:really|absolutely|just) )*love(?:,? (?:love|love)\b)+", "I love"),
    (r"\balerg(?:ic|ik)\b|\ballerg(?:c|ik)\b", "allergic"),
    (r"\bveg(?:e|i)t(?:e|a)?r(?:ia|ai)n\b", "vegetarian"),
    (r"\b(?:birtday|brithday|bithday|birhtday)\b", "birthday"),
    (r"\b(?:daugther|daugter|dauhgter|dauther)\b", "daughter"),
    (r"\badress\b", "address"),
    (r"\b(?:nubmer|numer|numbr)\b", "number"),
    (r"\bteh\b", "the"),
    (r"\bfreind\b", "friend"),
    (r"\b(?:collegue|colleage|colleauge)\b", "colleague"),
    (r"\bgirlfreind\b", "girlfriend"),
    (r",? (?:for my sins|touch wood|fingers crossed|thank god|knock on wood|btw|tho|rn|plz|pls|ngl|imo|thx|"
     r"innit|mate)(?=[.!,;]|$)", ""),
    (r"(?<=[a-z]) ['’]?n['’]? (?=[a-z]+$)", " and "),
    (r"^(?P<who>dentist|doctor|gp|vet|boss|manager|landlord|landlady|accountant|lawyer|therapist|wife|husband|girlfriend|"
     r"boyfriend|partner) is (?=(?-i:(?:Dr|Mr|Mrs|Ms|Prof)\b|[A-Z][a-z]+(?:$|,| and)))", r"my \g<who> is "),
    (r"\b(my (?:editor|browser|distro|shell|os|phone|car|bike|bank|dentist|gp|landlord))['’]s (?=(?-i:an? [A-Z]|[A-Z])[\w ]+(?:$|,))",
     r"\1 is "),
    (rf"^{_ADVERBS}(?={_PAST}\b)", "I "),
    (rf"^{_ADVERBS}(?={_STATE}\b)", "I am "),
)  # fmt: skip
_ICH = (
    r"(?:fahr|hab|geh|wohn|arbeit|spiel|lern|nehm|trink|ess|mach|nutz|such|besuch|zahl|studier|koch|lauf|"
    r"zieh|"
    r"brauch|vertrag|heiss|heiß|trag|verdien|miet|sammel|lieb|hass|leb)"
)
_DE: tuple[tuple[str, str], ...] = (
    (rf"\bich ({_ICH})(?= )", r"ich \1e"),
    (rf"\b({_ICH}) ich\b", r"\1e ich"),
    (r"^hab(?:e)?(?= (?!ich|ihr|du)\w)", "ich habe"),
    (r"^(?=(?:bin|wohne|arbeite|fahre|esse|trinke|spiele|heiße|heisse|ziehe|lerne|studiere|nehme|sammle) "
     r"(?!ich|du)\w)", "ich "),
    (r"^(?=(?:sind|haben) (?!wir|sie|die|das|der|meine|unsere|ihr)\w+ .*(?:gezogen|gekauft|verkauft|geheiratet|"
     r"getrennt|adoptiert)\b)", "wir "),
    (r"^im (?:Sommer|Herbst|Winter|Frühling|Frühjahr) (?=(?:fahre|fahren|fliege|fliegen|reise|reisen) (?:ich|wir)\b)", ""),
    (r"\bgegen ((?:[A-ZÄÖÜ]\w+)(?:(?:,| und) [A-ZÄÖÜ]\w+)*) allergisch\b", r"allergisch gegen \1"),
    (r"^(?:beruflich|von Beruf) bin ich ", "ich bin "),
    (r"^(?:per|mit|zum) (?=\d{1,2}\. ?\w)", "ab "),
    (r"\b(haben|habe|hat) keine?n? \w+, (?:aber|dafür|nur) (?=ein)", r"\1 "),
    (r"\b(sind wir|bin ich|sind) (?:für )?(?:eine|zwei|drei|vier|\d) wochen? (?=in|im|auf)", r"\1 "),
    (r"\bnimmer\b", "nicht mehr"),
    (r"\b(wohne|wohnt|wohnen|lebe|lebt|leben|arbeite|arbeitet|bin|ist|sind)((?: ich| wir| er| sie)?) wieder\b",
     r"\1\2"),
    (r"\b(heiss)(e|t|en)\b", r"heiß\2"),
    (r"\bstrasse\b", "straße"),
    (r"\b(bin|sind|ist)((?: \w+){0,4}?) mit ([A-ZÄÖÜ]\w+)((?: \w+){0,3}?) zusammen\b", r"\1 liiert mit \3\2\4"),
    (r"\bist (?:der|die) (?=(?:Herr|Frau|Dr\.?) )", "ist "),
)  # fmt: skip
_RULES = {
    "en": tuple((re.compile(pattern, re.IGNORECASE), to) for pattern, to in _EN),
    "de": tuple((re.compile(pattern, re.IGNORECASE), to) for pattern, to in _DE),
}


def repaired(text: str, language: Literal["en", "de"]) -> str:
    """Return a sentence with left-out apostrophes and subjects put back, and common slips mended."""
    for pattern, to in _RULES[language]:
        text = pattern.sub(to, text)
    return text
