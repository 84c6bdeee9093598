"""Names that people who type without capital letters write small: first names, places, firms.

Words that mean something else too ("will", "reading", "apple") are left out.
"""

from __future__ import annotations

import re

_FIRST_NAMES = """
    aaron abby adam adrian agnes ahmed aisha alan albert alex alexander alexandra ali alice alina alma
    amanda amelia amy ana andrea andreas andrew andy angela anita anja anke anna anne anneke annika anton
    antonia arthur astrid aylin barbara beatrice ben benedikt benjamin benny bernd beth bettina bianca birgit
    bjorn bob boris brandon brian brigitte bruno caleb camille carina carl carla carlos carmen carol caroline
    catherine cathy celine charles charlie charlotte chloe chris christa christian christina christine
    christoph christopher claire clara claudia clemens connor conor craig cynthia daisy dan daniel daniela
    danny darren dave david dean deborah denise dennis derek dermot diana diego dieter dirk dominik donna
    doris dorothy doug dylan eddie edith edward eileen elena eli elias elisabeth elizabeth ella ellen ellie
    elsa emil emilia emily emma emre enrico eric erik erika esther ethan eva evelyn fatima felix fergus fiona
    florian frances francesca francis franz frida fritz gabi gareth gary gavin george georg georgia gerald
    gerhard gina giovanni gisela giulia gordon graham greg greta günter hannah hanna hannes hans harald
    harriet harry heather heidi heike helen helena helga henrik henry hilda holger horst hugo ian ibrahim
    ilse ines ingrid irene isaac isabel isabella isla ivan jack jackie jacob jakob james jamie jan jana jane
    janet janine jasmin jason javier jeff jenna jennifer jenny jens jeremy jessica jill jim joachim joan
    joanna joe joel johan johanna johannes john johnny jonas jonathan jordan jorge jose josef joseph josh
    joshua juan judith julia julian juliane julie julien jürgen justin kai karen karin karl karsten kate
    katharina katherine kathrin kathy katie katja katrin keith kelly ken kerstin kevin kim kirsten klara
    klaus kofi kris kurt kyle lara lars laura lauren lea leah lena leo leon leonie leroy lewis liam lilly
    lily lina linda lisa liz logan lorenz lotte louis louisa louise luca lucas lucia lucy luis luisa lukas
    luke luna lydia maddie madison maja malte manfred manuel marc marcel marco marcus margaret margot maria
    marie marina mario marion marius markus marlene marta martha martin martina mary mateo mathias matt
    matteo matthew matthias maureen max maya megan mehmet melanie melissa mia michael michaela michelle
    miguel mike mila milan miles millie mina miriam mohammed molly mona monica monika moritz nadia nadine
    nancy naomi natalie natasha nathan neil nele nicholas nick nicola nicole nigel niklas nils nina noah nora
    norbert oli oliver olivia olga oscar oskar otto owen pablo pam pamela patricia patrick paul paula pauline
    pedro peggy peter petra phil philip philipp phoebe pia piet priya quentin rachel rainer ralf ralph raphael
    rashid rebecca regina regula reinhard renate ricardo richard rita rob robert roberto robin roger roland
    rolf roman ron ronja rory rosa rosie ruben rudi rupert russell ruth ryan sabine sabrina sally sam samantha
    samuel sandra sara sarah sascha scott sean sebastian selina shane sharon sheila silke silvia simon simone
    sofia sonja sophia sophie stacey stefan stefanie steffi stella stephanie stephen steve steven stuart
    sunita susan susanne svea sven sylvia tanja tanya tara ted teresa tess theo theresa thomas thorsten tilda
    tim timo tina tobi tobias todd tom tony tracy ulrich ulrike ursula uwe valentin valerie vanessa vera
    veronica vicky victor victoria viktor vincent walter wendy werner wilhelm william wolfgang yannick yasmin
    yusuf yvonne zach zara zoe zuzana
"""
_PLACES = """
    aachen aarau aberdeen adelaide aleppo america amsterdam ankara antwerp athens atlanta auckland augsburg
    australia austria bangalore bangkok barcelona basel bavaria beijing belfast belgium bergen berlin bern
    bielefeld birmingham bochum bologna bonn bordeaux boston bradford bratislava brazil bregenz bremen brighton
    brisbane bristol britain brno brooklyn brussels bucharest budapest bulgaria burgenland cairo calgary
    california cambridge canada canberra cardiff chester chicago china cologne colorado copenhagen corfu
    cornwall coventry crete croatia cyprus dallas delhi denmark denver derby detroit devon dornbirn dortmund
    dresden dubai dublin dundee dublin durham düsseldorf edinburgh egypt eindhoven england erfurt essex essen
    exeter finland flensburg florence florida france frankfurt freiburg galway geneva genf germany ghent glasgow
    graz greece greenland göttingen hamburg hannover hawaii heidelberg helsinki houston hull hungary iceland
    india indonesia innsbruck ireland israel istanbul italy japan jena kansas karlsruhe kassel kent kenya kiel
    klagenfurt korea krakow köln lagos lausanne leeds leicester leipzig lisbon liverpool ljubljana london
    lucerne luxembourg luzern lyon lübeck madrid magdeburg mainz malaga mallorca malmö malta manchester
    mannheim marseille melbourne mexico miami milan minneapolis minnesota montreal morocco moscow mumbai munich
    münchen münster nantes naples netherlands nevada newcastle nigeria nijmegen norway norwich nottingham
    nuremberg nürnberg ohio oldenburg oregon osaka oslo ottawa oxford palermo paris passau perth philadelphia
    phoenix plymouth poland porto portsmouth portugal potsdam prague regensburg reykjavik rhodes riga rome
    romania rostock rotterdam saarbrücken salzburg sardinia scotland seattle seoul serbia seville sheffield
    sicily singapore slovakia slovenia southampton spain stavanger stockholm strasbourg stuttgart sunderland
    sweden switzerland sydney syria tallinn tampa tampere tenerife texas thailand tirol tokyo toronto toulouse
    trier trieste trondheim tuscany turin turkey turku tyrol ukraine ulm uppsala utah utrecht valencia vancouver
    venice verona vienna vietnam vilnius virginia wales warsaw wellington wien wiesbaden winterthur wolfsburg
    wuppertal würzburg york zagreb zürich zurich zug
"""
_FIRMS = """
    accenture adidas airbus aldi allianz amazon asana asda atlassian audi aviva axa azure barclays bayer
    bitbucket bmw bosch brompton capgemini chevrolet cisco citroen comcast confluence continental corsa costco
    dacia daimler decathlon deloitte dell denner deezer dhl disney dropbox duolingo dyson edeka edf eon ericsson
    evernote facebook fedex fiat fiesta firefox fritzbox garmin github gitlab google gmail gorenje grafana
    greggs h&m hbo heineken hermes honda hsbc huawei hyundai ibm ikea instagram intel iphone ipad jira jysk
    kaufland kia klarna kpmg lenovo lexus lidl linkedin lloyds lufthansa macbook mastercard mazda mcdonalds
    mcdonald's microsoft miele migros monzo morrisons natwest nestle netflix netto nintendo nissan nokia
    nvidia octavia opel outlook panasonic paypal pepsi peugeot pfizer philips playstation polestar porsche
    postgres puregym pwc qualcomm reddit renault revolut rewe roche ryanair sainsburys sainsbury's salesforce
    samsung sap santander shopify siemens skoda skype spar spotify starbucks stripe subaru subway suzuki
    swisscom sony tefal telekom tesco tesla thales thinkpad tiktok toyota trello tui twitter ubuntu unilever
    ups vaillant vauxhall verizon vodafone volkswagen volvo vw waitrose walmart whatsapp wise woolworths xbox
    yamaha youtube zalando zwift postgresql mysql sqlite mongodb kubernetes debian fedora windows macos
    notion todoist obsidian airbnb audible ocado hellofresh deliveroo easyjet lycamobile giffgaff talktalk
    virgin
"""
_NAMES = frozenset(f"{_FIRST_NAMES} {_PLACES} {_FIRMS}".split())
_UPPER = frozenset("axa bmw dhl edf hbo hsbc ibm kpmg pwc sap tui ups vw".split())
_WORD = re.compile(r"[a-zäöüß&][\wäöüß&'-]*")
_TWO = re.compile(
    r"\b(?:san|santa|st|saint|new|los|las|el|sankt|bad|den) (?=(?:francisco|diego|jose|antonio|fe|cruz|"
    r"monica|"
    r"pölten|gallen|andrews|albans|helens|ives|louis|paul|pauli|york|jersey|zealand|orleans|mexico|delhi|"
    r"hampshire|angeles|vegas|paso|ischl|homburg|haag)\b)[a-zäöü]+"
)


_GERMAN_NOUN = re.compile(
    r"\b(?P<of>(?:mein|unser|sein|ihr)(?:e[nmrs]?)? (?:(?:neue|alte|kleine|große|grosse|beste|ältere|jüngere|"
    r"erste)[rns]? )?|als )(?P<noun>[a-zäöü])(?=[a-zäöüß-]{2})"
)


def capitalised(text: str) -> str:
    """Return a text that was typed in small letters with its names in capitals; of the same length."""
    text = _TWO.sub(lambda match: match[0].title(), text)
    text = _GERMAN_NOUN.sub(lambda match: match["of"] + match["noun"].upper(), text)
    return _WORD.sub(_capital, text)


def _capital(match: re.Match[str]) -> str:
    word = match[0]
    base = word.removesuffix("'s")
    if match.start() and match.string[match.start() - 1] in "@./:#_-":
        return word  # part of an address
    if base in _UPPER:
        return base.upper() + word[len(base) :]
    return word[:1].upper() + word[1:] if base in _NAMES else word
