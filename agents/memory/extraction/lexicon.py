"""Words that the rules know, English and German, with the English word under which facts are kept."""

from __future__ import annotations

from agents.memory.extraction.lexicon_slots import DATED_NOUNS as DATED_NOUNS
from agents.memory.extraction.lexicon_slots import SLOT_NOUNS as SLOT_NOUNS
from agents.memory.extraction.lexicon_slots import THINGS as THINGS
from agents.memory.extraction.lexicon_slots import table

KIN = table(
    """
    wife: ehefrau, frau, missus
    husband: hubby, ehemann, mann, gatte
    partner: other half, significant other, spouse, lebensgefährte, lebensgefährtin, partnerin
    girlfriend: freundin, gf
    boyfriend: freund, bf
    fiancé: fiance, verlobter
    fiancée: fiancee, verlobte
    ex-wife: ex wife, exwife, ex-frau, exfrau
    ex-husband: ex husband, ex-mann, exmann
    mother: mom, mum, mama, mam, mommy, mutter, mutti, ma
    father: dad, papa, daddy, vater, vati, pa
    stepmother: stepmom, stepmum, stiefmutter
    stepfather: stepdad, stiefvater
    mother-in-law: mother in law, schwiegermutter
    father-in-law: father in law, schwiegervater
    brother-in-law: brother in law, schwager
    sister-in-law: sister in law, schwägerin
    parents: folks, eltern
    grandparents: großeltern
    sister: sis, schwester
    brother: bro, bruder
    twin: zwilling
    twins: zwillinge
    scrum master:
    tech lead: lead developer
    contact: contact person, ansprechpartner, ansprechpartnerin
    siblings: geschwister
    son: sohn, boy, lad
    daughter: tochter, girl
    stepson: stiefsohn
    stepdaughter: stieftochter
    child: kid, kind, toddler, teenager, little one, wee one, youngest, oldest, eldest, firstborn, kiddo, teen
    children: kids, kinder
    baby: newborn
    sons: söhne, boys
    daughters: töchter, girls
    sisters: schwestern
    brothers: brüder
    grandmother: grandma, granny, nana, nan, gran, oma, großmutter
    grandfather: grandpa, granddad, grandad, gramps, opa, großvater
    grandson: enkel, enkelsohn
    granddaughter: enkelin, enkeltochter
    parents-in-law: in-laws, schwiegereltern
    stepbrother: stiefbruder
    stepsister: stiefschwester
    half-sister: half sister, halbschwester
    half-brother: half brother, halbbruder
    great-grandmother: uroma
    great-grandfather: uropa
    aunt: auntie, tante
    uncle: onkel
    cousin: cousine, kusine
    nephew: neffe
    niece: nichte
    godfather: patenonkel
    godmother: patentante
    godson: patensohn
    goddaughter: patentochter
    friend: buddy, pal, mate, kumpel, bekannter, bekannte
    best friend: bestie, bester freund, beste freundin, bff
    roommate: flatmate, housemate, mitbewohner, mitbewohnerin
    neighbour: neighbor, nachbar, nachbarin
    neighbours: neighbors, nachbarn
    classmate: schoolmate, mitschüler
    midwife: hebamme
    gardener: gärtner
    colleague: coworker, co-worker, workmate, teammate, kollege, kollegin
    boss: manager, supervisor, line manager, team lead, team leader, chef, chefin, vorgesetzter, vorgesetzte
    secretary: sekretär, sekretärin
    personal trainer:
    assistant: assistentin, assistent
    doctor: gp, physician, family doctor, hausarzt, hausärztin, arzt, ärztin
    dentist: zahnarzt, zahnärztin
    paediatrician: pediatrician, kinderarzt, kinderärztin
    therapist: therapeut, therapeutin, physio, physiotherapist
    vet: tierarzt, tierärztin
    landlord: landlady, vermieter, vermieterin
    tenant: mieter, mieterin
    teacher: lehrer, lehrerin
    professor: prof
    coach: trainer, trainerin
    lawyer: solicitor, attorney, anwalt, anwältin
    accountant: tax advisor, tax adviser, steuerberater, steuerberaterin
    hairdresser: barber, friseur, friseurin
    plumber: klempner
    electrician: elektriker
    babysitter: nanny, au pair, tagesmutter
    cleaner: cleaning lady, putzfrau, reinigungskraft
    dog: puppy, doggo, hund, hündin, labrador, golden retriever, dachshund, dackel, beagle, greyhound, poodle, terrier, border collie, husky, pug, spaniel, cocker spaniel, german shepherd, corgi, chihuahua, labradoodle, mongrel, whippet, welpe
    cat: kitten, kitty, katze, kater, tomcat
    horse: pony, pferd
    rabbit: bunny, kaninchen, hase
    hamster:
    guinea pig: meerschweinchen
    parrot: papagei
    budgie: parakeet, wellensittich
    tortoise: turtle, schildkröte
    goldfish: fish, fisch
    chickens: hens, hühner
    pet: haustier
    mechanic: mechaniker, automechaniker
    optician: optiker, optikerin
    orthodontist: kieferorthopäde, kieferorthopädin
    psychologist: psychologe, psychologin
    psychiatrist: psychiater, psychiaterin
    dermatologist: hautarzt, hautärztin
    cardiologist: kardiologe, kardiologin
    gynaecologist: gynecologist, frauenarzt, frauenärztin
    tutor: nachhilfelehrer, nachhilfelehrerin
    mentor: mentorin
    caretaker: janitor, hausmeister
    notary: notar, notarin
    estate agent: realtor, makler, maklerin
    handyman: handwerker
    dog sitter: dog walker, hundesitter
    lodger: untermieter, untermieterin
    business partner: co-founder, cofounder
    successor: nachfolger, nachfolgerin
    predecessor: vorgänger, vorgängerin
    treasurer: kassenwart
    ex: ex-girlfriend, ex-boyfriend
    roommates: flatmates, housemates
    colleagues: coworkers, co-workers, workmates, teammates, kollegen, kolleginnen
    friends: buddies, pals, freunde, freundinnen
    best friends:
    cousins:
    uncles:
    aunts:
    nephews: neffen
    nieces: nichten
    grandchildren: grandkids, enkelkinder
    grandsons:
    granddaughters:
    teachers:
    """
)
PETS = frozenset(
    [*"dog cat horse rabbit hamster parrot budgie tortoise goldfish chickens pet".split(), "guinea pig"]
)
PETS_PLURAL = {
    "dogs": "dog",
    "cats": "cat",
    "horses": "horse",
    "rabbits": "rabbit",
    "hamsters": "hamster",
    "kittens": "cat",
    "guinea pigs": "guinea pig",
    "parrots": "parrot",
    "budgies": "budgie",
    "hunde": "dog",
    "katzen": "cat",
    "meerschweinchen": "guinea pig",
    "hühner": "chickens",
    "pferde": "horse",
    "kaninchen": "rabbit",
    "chickens": "chickens",
    "hens": "chickens",
    "puppies": "dog",
    "fish": "goldfish",
    "tortoises": "tortoise",
}
SINGLE_KIN = frozenset(
    [
        *"wife husband partner girlfriend boyfriend fiancé fiancée mother father stepmother stepfather boss "
        "landlord "
        "mother-in-law father-in-law doctor dentist vet mechanic hairdresser accountant lawyer therapist optician "
        "orthodontist psychologist psychiatrist dermatologist cardiologist gynaecologist paediatrician coach tutor "
        "mentor caretaker notary assistant cleaner babysitter gardener plumber electrician midwife treasurer successor "
        "predecessor teacher professor lodger tenant handyman".split(),
        "estate agent",
        "scrum master",
        "tech lead",
        "best friend",
        "parents",
    ]
)
"""Those of whom one has one at a time: a new name replaces the old one."""
FEMALE = frozenset(
    "wife girlfriend fiancée mother stepmother mother-in-law sister-in-law sister daughter stepdaughter "
    "grandmother granddaughter aunt niece godmother goddaughter ex-wife".split()
)
MALE = frozenset(
    "husband boyfriend fiancé father stepfather father-in-law brother-in-law brother son stepson grandfather "
    "grandson uncle nephew godfather godson ex-husband".split()
)
KIN_PLURAL = {
    "twins",
    "parents",
    "parents-in-law",
    "children",
    "siblings",
    "sons",
    "daughters",
    "sisters",
    "brothers",
    "grandparents",
    "neighbours",
    *"roommates colleagues friends cousins uncles aunts nephews nieces grandchildren grandsons granddaughters".split(),
    "best friends",
    "teachers",
}
KIN_SINGULAR = {
    "twins": "twin",
    "children": "child",
    "sons": "son",
    "daughters": "daughter",
    "sisters": "sister",
    "brothers": "brother",
    "neighbours": "neighbour",
    "kids": "child",
    "grandchildren": "grandchild",
    "best friends": "best friend",
    **{
        f"{one}s": one
        for one in "roommate colleague friend cousin uncle aunt nephew niece grandson granddaughter teacher".split()
    },
}
KIN_ADJECTIVES = (
    r"(?:(?:actual|real|own|other|poor|sweet|wee|darling|older|elder|younger|little|big|old|oldest|youngest|"
    r"middle|eldest|dear|late|twin|only|good|"
    r"close|best|new|"
    r"lovely|beloved|first|second|current|former|future|other|one|two|three|four|identical|half|adopted|"
    r"\d{1,2}[- ]year[- ]old|next-door|direct|ältere[rn]?|jüngere[rn]?|kleine[rn]?|große[rn]?|beste[rn]?|"
    r"alte[rn]?|neue[rn]?|liebe[rn]?)\s+)*"
)
