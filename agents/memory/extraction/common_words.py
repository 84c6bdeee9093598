"""Words that are no names, and words beside which a secret stands."""

from __future__ import annotations

import re

SECRET = re.compile(
    r"\b(?:pass ?words?|passwort|kennwort|passcodes?|pass ?phrases?|pin(?: (?:code|number))?|puk|tan|cvv|"
    r"cvc|credit card|"
    r"debit card|card number|kreditkarte(?:nnummer)?|iban|kontonummer|account number|api[- ]?keys?|private "
    r"key|secret key|(?:client|api|shared) secret|"
    r"access token|ssh key|security (?:code|question)|door code|alarm code|social security number|ssn|"
    r"login)\b|"
    r"(?:\d[ -]?){13,19}",
    re.IGNORECASE,
)

COMMON = frozenset(
    """
    a about above actually after again all also always am an and any anyway are as ask at back bad be
    because been before being best better big but by can cannot cool could did do does doing done down
    each either else even ever every everyone everything exactly few fine first for from fun get go going
    gone good got great had happy hard has have he hello help her here hers hi him his hmm home hope how
    however i if in into is it its just keep last later least less let like little long look lot lots love
    made make many may maybe me mean mine more most much must my near need never new next nice no none
    nope nor not nothing now of off ok okay old on once one only or other our ours out over own perfect
    please pretty probably quite rather really right same see seen she should since so some someone
    something soon sorry still such sure take than thank thanks that the their them then there these they
    thing things think this those though three tired to today tomorrow too try two under until up us use
    used very wait want was way we well were what when where which while who whose why will with within
    without wonderful would wow yeah yes yesterday yet you your yours sad sick ill busy hungry thirsty
    bored ready late early free open closed available interested afraid scared worried excited glad
    confused lost stuck alone lucky angry annoyed able unable serious kidding joking looking trying
    working going thinking wondering asking calling coming leaving getting having feeling planning hoping
    called named name monday tuesday wednesday thursday friday saturday sunday january february march
    april june july august september october november december great awesome amazing good morning evening
    night afternoon english german french today tonight dear hello hallo danke bitte ja nein und oder aber
    nicht kein keine ein eine der die das ich du er sie es wir ihr mein meine dein sein ist sind war hat
    haben bin müde gut schlecht hier da dort heute morgen gestern jetzt schon noch auch nur sehr so wie
    was wer wo wann warum krank hungrig froh traurig sicher bereit someone somebody anybody anyone nobody
    everybody people guys folks man woman person guy retired married single divorced engaged vegetarian
    hey yo wow yay thx haha lol
    vegan allergic pregnant unemployed self-employed
""".split()
)
"""Words that are no names."""
