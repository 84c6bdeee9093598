"""Words for what one has and what is said of it, English and German, with the word they are kept under."""

from __future__ import annotations


def table(lines: str) -> dict[str, str]:
    """Read lines of ``canonical: other, words`` into a table from every word to the canonical one."""
    found = {}
    for line in lines.strip().splitlines():
        canonical, _, others = line.strip().partition(":")
        for word in (canonical, *others.split(",")):
            if word.strip():
                found[word.strip()] = canonical
    return found


SLOT_NOUNS = table(
    """
    name: full name, vorname
    surname: last name, family name, nachname, familienname
    first name:
    nickname: spitzname
    age: alter
    birthday: date of birth, bday, birth date, geburtstag, geburtsdatum
    birthplace: place of birth, geburtsort
    name day: namenstag
    anniversary: wedding anniversary, hochzeitstag
    wedding: hochzeit
    address: home address, postal address, adresse, anschrift
    place of residence: residence, wohnort
    postcode: zip code, zip, postal code, postleitzahl, plz
    email: email address, e-mail, e-mail address, mail address, e-mail-adresse, mailadresse
    phone: phone number, telephone number, mobile number, cell number, cell phone number, mobile, number, telefonnummer, handynummer, nummer
    job: profession, occupation, day job, beruf
    employer: company, firm, arbeitgeber, firma
    hometown: home town, heimatstadt
    native_language: native language, mother tongue, first language, muttersprache
    nationality: nationalität, citizenship, staatsangehörigkeit
    blood_type: blood type, blood group, blutgruppe
    shoe_size: shoe size, schuhgröße, schuhgrösse
    size: clothing size, shirt size, t-shirt size, dress size, kleidergröße
    height: größe, grösse, körpergröße
    weight: gewicht
    star_sign: star sign, zodiac sign, sternzeichen
    plate: licence plate, license plate, number plate, registration number, plate number, registration, reg, reg number, rego, kennzeichen, autokennzeichen, nummernschild
    tax_number: tax number, tax id, steuernummer, steuer-id
    insurance_number: insurance number, policy number, versicherungsnummer
    customer_number: customer number, kundennummer
    membership_number: membership number, member number, mitgliedsnummer
    health_insurance: health insurance, krankenkasse
    insurance: versicherung
    bank: hausbank
    rent: miete, monatsmiete, monthly rent
    salary: gehalt, lohn, monatslohn, wage, wages
    deadline: due date, abgabetermin, frist
    budget:
    start date: kick-off, kickoff
    release date: launch date, launch, release, go-live, go live, golive, go-live date, go live date
    version:
    repository: repo
    status:
    client: customer, kunde
    project manager: pm, project lead, product owner, projektleiter, projektleiterin
    internet_provider: internet provider, isp, provider, broadband provider, broadband, internetanbieter, wlan-anbieter, wlan anbieter, kabelanbieter
    electricity_provider: electricity provider, power supplier, energy supplier, energy provider, electricity supplier, stromanbieter, stromlieferant, energieversorger
    ip: ip address, ip-adresse, static ip
    hostname: host name
    domain: domain name
    ssid: wifi name, wi-fi name, wifi network, wlan-name, network name
    mac: mac address
    os: operating system, betriebssystem
    school: high school, primary school, elementary school, schule, gymnasium
    university: uni, college, alma mater, universität, hochschule
    major: hauptfach
    studies: field of study, degree programme, studiengang
    thesis: thesis topic, topic of my thesis
    allergy: allergies
    diet:
    medication: medikament
    hobby: hobbies, main hobby, hobbys
    team: club, verein
    gym: fitnessstudio
    church: gemeinde
    dream: traum
    goal: ziel
    stand-up: standup, stand up, daily
    checkup: check-up
    appointment: termin
    flight: flug
    train:
    interview: job interview, vorstellungsgespräch
    exam: final exam, prüfung, klausur
    driving test: fahrprüfung
    surgery: operation, op
    vacation: holiday, holidays, urlaub
    party: birthday party, feier
    meeting: team meeting, besprechung
    lesson: class
    mortgage:
    lease: contract, vertrag
    warranty: garantie
    pronouns:
    locker: locker number
    room: room number, office number, office, zimmernummer
    flat: apartment, wohnung
    house: haus
    garden: garten
    thesis supervisor:
    middle name:
    maiden name: geburtsname
    timezone: time zone
    bin day: bin collection, bin collection day, müllabfuhr, mülltag, müllabholung
    shift_pattern: shift pattern, dienstplan, schichtplan, rota
    house_number: house number, door number, hausnummer, flat number
    extension: extension number, durchwahl, nebenstelle
    landline: landline number, festnetz, festnetznummer
    username: user name, handle, login name, benutzername, gamertag, insta, instagram, instagram handle, discord, telegram
    website: homepage, webseite
    passport_number: passport number, reisepassnummer
    hourly_rate: hourly rate, day rate, stundensatz, stundenlohn
    tariff: mobile plan, phone plan, tarif, handytarif, abo
    mobile_provider: mobile provider, phone provider, phone company, network provider, mobile network, mobilfunkanbieter, handyanbieter
    gas_provider: gas provider, gas supplier, gasanbieter
    bedtime:
    department: dept, abteilung
    graduation: abschlussfeier
    retirement:
    reservation: booking, reservierung
    registration number:
    """
)
DATED_NOUNS = frozenset(
    "appointment flight train interview exam surgery vacation party meeting lesson wedding checkup "
    "graduation "
    "reservation deadline stand-up".split()
) | {"driving test", "start date", "release date"}
"""Slots whose value is a time."""

THINGS = table(
    """
    car: auto, wagen, vehicle, suv, van, camper, campervan, truck, pickup, lorry, jeep
    bike: bicycle, fahrrad, rad, e-bike, ebike, mountain bike, road bike, rennrad
    motorbike: motorcycle, motorrad, scooter, moped, roller
    boat: sailing boat, boot
    phone: smartphone, mobile phone, cell phone, handy
    laptop: notebook
    computer: pc, desktop, gaming pc, workstation, rechner
    tablet: ipad
    monitor: screen, bildschirm
    camera: kamera
    tv: television, fernseher
    printer: drucker, 3d printer
    router: modem, wlan-router
    nas:
    server: home server, homeserver
    watch: smartwatch, uhr
    headphones: earbuds, kopfhörer
    boiler:
    washing machine: washer, waschmaschine
    dishwasher: spülmaschine, geschirrspüler
    fridge: refrigerator, kühlschrank
    freezer: gefrierschrank
    dryer: trockner
    oven: stove, cooker, herd, ofen, backofen
    coffee machine: espresso machine, coffee maker, kaffeemaschine
    vacuum: vacuum cleaner, robot vacuum, vacuum robot, staubsauger, saugroboter
    heating: heat pump, heizung, wärmepumpe
    guitar: gitarre
    piano: klavier
    console: game console, konsole
    drone: drohne
    keyboard: tastatur
    mouse: maus
    sofa: couch
    bed: bett
    mattress: matratze
    lawnmower: lawn mower, rasenmäher
    solar panels: solar system, pv system, solaranlage
    wallbox: charger
    house: haus
    flat: apartment, wohnung
    garden: garten, allotment
    tent: zelt
    caravan: wohnwagen
    switch:
    firewall:
    access point:
    gpu: graphics card, grafikkarte
    raspberry pi: raspi, pi
    backup: backups
    database:
    """
)
