"""The words by which something that is known ends or is replaced."""

from __future__ import annotations

import re

from schemas.memory import Fact

_AUX = (
    r"(?: (?:have|has|had|am|are|is|was|just|finally|recently|since|officially|now|both|already|will|be|also|"
    r"actually|eventually|habe|haben|bin|sind))*"
)
_WHO = r"(?P<who>I|we|ich|wir)"
_DE_HAD_TO = r"^(?P<who>[A-ZÄÖÜ][\wäöüß]+|(?:unser|mein)\w* [\wäöüß ]+?) (?:mussten|muss|habe|haben) (?:wir|ich)\b.*?\b(?P<verb>einschläfern|weggeben|abgeben|verkaufen|verkauft|weggegeben)(?: lassen| müssen)*$"
OWNER_ENDS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"^{_WHO}{_AUX} (?P<verb>quit|quitting|left|leaving|leave|stopped|stop|ended|cancell?ed|"
        rf"cancell?ing|gave "
        r"up|given up|giving up|dropped(?: out of)?|finished|ditched|sold|selling|got rid of|gotten rid of|"
        r"parted "
        r"with|broke up with|broken up with|split(?: up)? (?:from|with)|closed|returned|done with|"
        r"unsubscribed "
        r"from|let go of|handed back|handed in|gave away|given away|gave|rehomed|traded in|lost|scrapped|"
        r"deleted|terminated|resigned from|retired from|moved out of|came off|come off|off|no longer|not|"
        r"uninstalled|binned|sacked|fired|let|walked away from|pulled out of) (?P<what>.+)$",
        rf"^{_WHO} do not (?P<verb>do) (?P<what>.+?) (?:any ?more|any longer)$",
        rf"^{_WHO}{_AUX} (?P<what>[^,]+?) (?P<verb>gekündigt|verkauft|abbestellt|aufgegeben|abgebrochen|"
        rf"beendet|"
        r"verloren|weggegeben|abgesetzt|abgemeldet|storniert|verlassen|abgesagt)$",
    )
)
ITSELF_ENDS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"^(?P<who>(?!I\b|we\b|ich\b|wir\b|it\b|that\b|this\b|everything\b).{2,45}?)(?: (?:has|have|had|is|"
        r"was|are|"
        r"were|just|sadly|recently|finally|been|got|getting|unfortunately|already|went|"
        r"also))* (?P<verb>died|dead|"
        r"passed away|passed on|passed|put down|put to sleep|moved (?:out|away|on)|retired|left(?: (?:the|"
        r"our|my) "
        r"\w+| us| me)?|quit|gone|ran away|run over|(?<=was )run|(?<=got )run|cancell?ed|called off|off|"
        r"over|came off|fallen through|fell through|"
        r"ended|finished|sold|stolen|scrapped|written off|totall?ed|expired|closed down|shut down|closed|"
        r"discontinued|dumped me|broke up with me|fired|let go|rehomed|decommissioned|switched off|"
        r"stepped down|stood down|"
        r"resigned|handed over|moved to [A-Z][\w ]+|moved back (?:to|in with) .{2,30}|changed jobs|promoted|"
        r"broken|broke|"
        r"discharged|demolished|repossessed|returned|(?:went|gone) "
        r"back(?: to (?:the (?:dealer|shop|shelter|breeder|owner|leasing)|(?-i:[A-ZÄÖÜ])).{0,30})?|"
        r"returned to (?-i:[A-ZÄÖÜ]).{2,30}|moved to (?:another|a "
        r"different|a new) \w+|lapsed|ran out|packed up)(?:,? (?:in|after|because|due to|by|so|"
        r"at the (?:weekend|end)|"
        r"for (?:good|another|a (?:new|better)|(?-i:[A-ZÄÖÜ]))) ?.{0,50})?$",
        r"^(?P<who>.{2,45}?) (?:ist|sind|wurde|wurden|hat)(?: (?:leider|vor kurzem|"
        r"kürzlich))* (?P<verb>gestorben|"
        r"verstorben|zurückgetreten|umgezogen|kaputt(?: gegangen)?|überfahren worden|ausgezogen|weggezogen|"
        r"in Rente(?: gegangen)?|in Pension(?: gegangen)?|pensioniert|weg|"
        r"lassen|abgesagt(?: worden)?|ausgefallen|vorbei|zu Ende|gestohlen(?: worden)?|geklaut(?: worden)?|"
        r"eingeschläfert(?: worden)?|verkauft(?: worden)?|gekündigt|aufgehört|uns verlassen)$",
        _DE_HAD_TO,
    )
)
_NEW = r"(?:an? |the |my |our )?(?P<new>[^,;]{1,50})"
REPLACED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"^(?:I|we|my \w+){_AUX} (?P<verb>switched|changed|moved|migrated|upgraded|downgraded|transferred|"
        rf"updated|"
        r"converted|gone|went|bumped|raised|traded up)(?: (?P<what>(?!from\b|to\b|over\b|up\b|"
        r"back\b)[^,;]{1,40}?))?"
        rf"(?: (?:over|up|back|away))? from (?P<old>[^,;]{{1,40}}?) to {_NEW}$",
        r"^(?P<what>(?:the |our |my )[^,;]{2,30}?) (?:has been|have been|was|were|is|got|has)(?: \w+ly| now|"
        r" been)* (?P<verb>upgraded|"
        rf"downgraded|updated|migrated|switched|bumped|converted|"
        rf"moved over)(?: from (?P<old>[^,;]{{1,40}}?))? to {_NEW}$",
        rf"^(?:I|we){_AUX} (?P<verb>upgraded|downgraded|updated|moved up|"
        rf"traded up)(?: (?P<what>(?!to\b)[^,;]{{1,40}}?)"
        rf")? to {_NEW}$",
        rf"^(?:I|we){_AUX} (?P<verb>swapped|replaced|traded(?: in)?|exchanged|ditched|dropped) (?:my |our |"
        rf"the )?"
        rf"(?:old )?(?P<old>[^,;]{{1,40}}?) (?:for|with|by|in favou?r of) {_NEW}$",
        r"^(?:my |our |the )?(?P<old>[^,;]{2,40}?) (?:has been|have been|was|were|got|is being|wurde|"
        r"ist) (?P<verb>replaced|swapped|substituted|"
        r"exchanged|succeeded|ersetzt|abgelöst)(?: out)? (?:by|with|for|durch|von) (?:an? |"
        r"the )?(?P<new>[^,;]{1,40}?)(?: as .+)?$",
        rf"^(?:I|we){_AUX} (?P<verb>use|using|drive|driving|read|have|take|taking|go to|play|drink) {_NEW} "
        r"(?:now )?(?:instead of|rather than|in place of) (?P<old>[^,;]{1,40})$",
        rf"^(?:I|we){_AUX} (?P<verb>with|at|on|in) {_NEW} (?:now )?(?:instead of|"
        rf"rather than) (?P<old>[^,;]{{1,40}})$",
        r"^(?:ich|wir) (?:bin|sind|habe|haben) (?:jetzt |nun )?(?:von|vom) (?P<old>[^,;]{1,40}?) (?:auf|zu|"
        r"zur|zum|"
        r"nach) (?:den |die |das |ein\w* )?(?P<new>[^,;]{1,40}?) (?P<verb>gewechselt|umgestiegen|umgezogen)$",
        r"^(?:ich|wir) (?P<verb>habe|haben|nutze|nutzen|fahre|fahren|nehme) (?:jetzt )?(?:statt|"
        r"anstelle von) "
        r"(?P<old>[^,;]{1,40}?) (?:jetzt )?(?:ein\w* |den |die |das )?(?P<new>[A-ZÄÖÜ0-9][^,;]{1,40})$",
    )
)
UPGRADING = frozenset({"upgraded", "downgraded", "updated", "moved up", "traded up", "bumped", "migrated"})
SUCCESSOR = re.compile(
    r"^(?:(?:so |and )?(?:now )?(?:I|we|ich|wir) (?:now )?(?:go to|see|am with|are with|have|use|found|"
    r"hired|got|report to|gehe zu|bin bei|"
    r"haben) (?:now |jetzt )?(?P<name>(?-i:(?:(?:Dr|Mr|Mrs|Ms|Frau|"
    r"Herr)\.? )?[A-ZÄÖÜ])[\w-]+(?: (?-i:[A-ZÄÖÜ])[\w-]+)?)(?: now| jetzt| instead)?)$"
    r"|^(?P<name2>(?-i:(?:(?:Dr|Mr|Mrs|Ms|Frau|"
    r"Herr)\.? )?[A-ZÄÖÜ])[\w-]+(?: (?-i:[A-ZÄÖÜ])[\w-]+)?) (?:has taken|took|has|is taking|hat) (?:over|"
    r"his|her|their|übernommen)\b.*$",
    re.IGNORECASE,
)
SERVICES = r"provider$|anbieter$|^bank$|insurance$|versicherung$|kasse$"
_TRADES = {
    r"internet|mobile|anbieter$": "vodafone,o2,ee,sky,bt,telekom,a1,magenta,drei,swisscom,sunrise,salt,1&1,congstar,verizon,at&t,t-mobile,xfinity,"
    "comcast,spectrum,plusnet,talktalk,three,giffgaff,orange,telia,telenor,virgin,virgin media,aldi talk,yallo,wingo",
    r"health_insurance|kasse": "aok,tk,barmer,dak,ikk,ögk,css,helsana,swica,kpt,sanitas,bkk,concordia,assura,visana,bupa,aetna,cigna",
    r"bank": "n26,dkb,ing,comdirect,raiffeisen,erste,sparkasse,hsbc,barclays,chase,monzo,starling,revolut,ubs,postfinance,zkb,lloyds,natwest,"
    "santander,volksbank,commerzbank,nationwide,halifax",
    r"electricity|gas|strom": "octopus,octopus energy,british gas,edf,eon,e.on,ovo,bulb,scottish power,enbw,vattenfall,wien energie,verbund,ewz",
}
_TRADE_OF = {name: trade for trade, names in _TRADES.items() for name in names.split(",")}


def trade_of(name: str) -> str:
    """Return the pattern of the slots that a well-known firm can fill; empty when it is not known."""
    return _TRADE_OF.get(name.casefold(), "")


SLOT_TAIL = re.compile(
    r"^(?P<v>[A-ZÄÖÜ][\w.'-]+(?: [A-ZÄÖÜ][\w.'-]+)?) (?:is|ist) (?:now |jetzt )?(?:the |our |my |der |die |"
    r"unser\w* |mein\w* )"
    r"(?:new |neue[rs]? )?(?P<noun>[\w-]+(?: [\w-]+)?)$"
)
NUMBER_NOW = re.compile(
    r"^(?:please |pls |bitte )?(?:use|call me on|text me on|reach me on|ring me on|it is|nutze?|"
    r"nimm) (?:now |jetzt |bitte )*"
    r"(?P<v>[+(]?\d[\d ()/-]{5,}\d|[\w.+-]+@[\w.-]+\w)\b"
    r"(?:,? (?:now|please|instead|from now on|in future|jetzt|ab jetzt|bitte|the old (?:one|number) .*|"
    r"my old .*|not .*))*[.!]*$",
    re.IGNORECASE,
)
ENGAGEMENT_OFF = re.compile(
    r"\b(?:(?:called|call|broke|broken) off (?:the|our|my) (?:engagement|wedding)|engagement is off)\b", re.I
)
TOGETHER_NO_MORE = re.compile(
    r"^(?:(?:\w+ and I|I and \w+|my \w+ and I|we|\w+ und ich|wir) (?:are|sind) (?:no longer (?:together|"
    r"a couple)|not together|not a couple|separated|divorced|geschieden|getrennt|nicht mehr zusammen|"
    r"kein Paar mehr)(?: any ?more)?|(?:\w+ and I|I and \w+|my \w+ and I) are (?:over|finished|history|"
    r"done))$",
    re.IGNORECASE,
)
PUT_DOWN = re.compile(
    r"^(?:I|we)(?: have| had)* put (?P<what>[\w' ]{2,25}?) (?:down|to sleep)$|^(?:we|I)(?: have| had|"
    r" just)* lost (?:our |my )?"
    r"(?P<what2>(?:dog|cat|(?-i:[A-Z])\w+)(?: (?-i:[A-Z])\w+)?)$",
    re.IGNORECASE,
)
_AS_DONE = (
    (re.compile(r"\b(I|we) (?:have had to|had to|have to|decided to|needed to|managed to|ended up having to|went and|chose to|am going to|"
                r"are going to|will) (?=(?:cancel|quit|leave|sell|stop|close|put|drop|give up|end|let|"
                r"return|part with|get rid of|switch|move|swap)\b)", re.I), r"\1 "),
    (re.compile(r"^(I|we) cancel\b", re.I), r"\1 cancelled"),
    (re.compile(r"^(I|we) sell\b", re.I), r"\1 sold"),
    (re.compile(r"^(I|we) give up\b", re.I), r"\1 gave up"),
    (re.compile(r"^(I|we) drop\b", re.I), r"\1 dropped"),
    (re.compile(r"^(I|we) get rid of\b", re.I), r"\1 got rid of"),
    (re.compile(r"^(I|we) switch\b", re.I), r"\1 switched"),
    (re.compile(r"^(I|we)(?: have)? handed in (?:my|our) (?:notice|resignation) (?:at|to|with) ", re.I), r"\1 quit "),
    (re.compile(r"^(I|we)(?: have)? (?:gave|given|hand) (?:my )?notice (?:at|to) ", re.I), r"\1 quit "),
)  # fmt: skip
WITH = re.compile(
    r"^(?P<who>I|we|ich|wir) (?:(?:am|are|bin|sind)(?: now| jetzt)? (?:with|bei|bei der)|(?:have |bin |"
    r"sind )?(?:just )?(?:switched|changed|moved|gone) "
    r"(?:over )?to|(?:bin|sind) (?:jetzt )?(?:zu|zur|"
    r"zum)) (?P<v>(?:the )?(?-i:[A-ZÄÖÜ\d])[\w&.' -]*?)(?: gewechselt)?$",
    re.IGNORECASE,
)
BACK_IN = re.compile(
    r"^(?:I|we|ich|wir) (?:am|are|bin|sind)(?: (?:now|jetzt))?(?P<back> (?:back|wieder|"
    r"zurück))? in (?P<v>[A-ZÄÖÜ]"
    r"[\w' -]*)(?:,.*)?$"
)
JOB_AT = re.compile(
    r"^(?:I|ich) (?:am|bin)(?: (?:now|jetzt))? (?:at|"
    r"bei) (?P<v>(?:the )?[A-ZÄÖÜ][\w&.' -]*?)(?: now)?(?:, .*)?$"
)
TAIL_SLOT = re.compile(
    r"^(?:the |our |my |der |die |das |unser\w* |mein\w* )(?:new |"
    r"neue[rs]? )?(?P<noun>[\w-]+(?: [\w-]+)?) (?:is|ist) "
    r"(?:now |currently |jetzt )?(?P<v>[\wÄÖÜ][^,;]{0,40})$",
    re.IGNORECASE,
)
DRINKS_AGAIN = re.compile(
    r"^(?:I|we)(?: have| am)* (?:(?:started|begun|back to|gone back to|went back to) (?:drinking|eating|"
    r"having)|(?:drink|eat|have)) (?P<what>[\w ]{2,25}?)(?: again| now)$",
    re.IGNORECASE,
)
ON_AMOUNT = re.compile(
    r"^I (?:am|make|earn|get)(?: now)?(?: on| making| earning|"
    r" getting)? (?P<v>[£$€]? ?\d[\d.,]*k?(?: ?(?:euros?|€|pounds|dollars|chf|eur))?(?: (?:a|per) \w+)?)$",
    re.IGNORECASE,
)
BIRTH = re.compile(
    r"\b(?:(?:baby|son|daughter|twins|little one|boy|girl) (?:was|were|is|has been|arrived|"
    r"came)\b.*\b(?:born|here|arrived)|gave birth|had (?:the|our|my) baby)\b",
    re.I,
)
CHANGED_WHOM = re.compile(
    r"\b(?:changed|switched|swapped|got a new|found a new|new) (?:my |our |the )?(?P<a>[\w -]{3,20}?)(?=,|$|"
    r" and| because)|\b(?:den|die|unsere?n?|meine?n?) (?P<b>[A-ZÄÖÜ]\w+) gewechselt\b"
)
EATS_AGAIN = re.compile(
    r"^(?:I|we|ich|wir)(?: (?:have|am|started|begun|now|back to|went back to|do|gone back to))* (?:eat|"
    r"eating|esse|"
    r"essen) (?:meat|fish|chicken|beef|steak|everything|fleisch|fisch)(?: (?:again|now|wieder|too))*"
    r"(?=$|,| since| and)",
    re.IGNORECASE,
)

_GERUND = re.compile(
    r"^(?:(?!Beijing|Ming|King|Bing|Ring|Sterling)[a-z]+ing|be|a|an) (?:(?:to|at|for|with|in|on|a|an|the|my|"
    r"our) )*",
)
_BEFORE = re.compile(
    r"^(?:(?:the|my|our|his|her|their|this|that|a|an|some|all|old|poor|dear|little|own|of|on|to|at|with|for|"
    r"job|"
    r"position|der|die|das|den|dem|mein\w*|unser\w*|ein\w*|bei|beim|alte[nsr]?|planned|using|taking|going|"
    r"playing|doing|working|learning|eating|drinking|seeing|training|out|being|am|are|work|take|go|play|use|"
    r"drive|live|living|"
    r"(?:trip|flight|holiday|visit|journey) to|weekend in) )+",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r",? (?:lapse|expire|run out|go|subscription|membership|account|contract|collection|habit|diet|"
    r"medication|tablets|"
    r"pills|lessons?|class(?:es)?|"
    r"course|trip|holiday|vacation|job|any ?more|any longer|now|too|though|as well|myself|for good|plan|app|"
    r"abo|vertrag|mitgliedschaft|konto|reise|urlaub|stelle)$",
    re.IGNORECASE,
)
_PEOPLE = frozenset(
    "dog cat horse rabbit hamster parrot budgie tortoise goldfish kitten puppy hund katze husband wife son daughter "
    "flatmate roommate lodger boss manager doctor dentist teacher landlord tenant neighbour colleague cleaner "
    "mitbewohner mitbewohnerin untermieter chef chefin".split()
)


def as_done(text: str) -> str:
    """Return "we had to cancel Tokyo" as "we cancelled Tokyo"."""
    for pattern, to in _AS_DONE:
        text = pattern.sub(to, text)
    return text


def is_of_own(name: str) -> bool:
    """Say whether a word that looks like a name is none."""
    return not name or bool(re.match(r"^(?:I|We|It|The|He|She|They|This|That|My|Our)\b", name))


def is_done_by(doing: str, fact: Fact) -> bool:
    """Say whether a fact is the habit that "collecting" names."""
    match = re.fullmatch(r"([a-z]{2,}?)(?:ing|en)", doing.strip())
    if not match:
        return False
    stem = match[1]
    base = fact.attribute.partition(":")[0]
    return base in (f"{stem}s", f"{stem}es", stem[:-1] + "s" if stem[-1:] == stem[-2:-1] else f"{stem}es")


def plain_object(text: str) -> str:
    """Return what is ended without the words around it: "my Netflix subscription", "going to yoga"."""
    text = _GERUND.sub("", text.strip(" ,."))
    before = None
    while before != text:
        before = text
        text = _BEHIND.sub("", _BEFORE.sub("", text))
    first, _, rest = text.partition(" ")
    if rest and first.casefold() in _PEOPLE:
        text = rest  # "dog Rex"
    return text.strip(" ,.")
