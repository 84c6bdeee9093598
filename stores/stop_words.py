"""Words that say nothing about what a question is about: English, and the commonest of its neighbours."""

STOP_WORDS = """
ok okay hello hi hey thanks thank yes time today tomorrow yesterday good bad new old big small now
a about above after again against all also am an and any are as at be because been before being
below between both but by can cannot could did do does doing down during each few for from further
get give had has have having he her here hers him his how i if in into is it its itself just know
let like make many may me mean means might more most much must my no nor not now of off on once one
only or other our out over own please same say says shall she should show so some such take tell
than that the their them then there these they thing things this those through to too under until up
us use used using very want was way we were what when where which while who whom whose why will with
without work works would you your explain describe difference example happen happens actually der
die das den dem des ein eine einen einem einer und oder aber ist sind war wie wer wo wann warum
welche welcher welches mit von zu zum zur im auf aus bei nach ich du er sie es wir ihr mich mir kann
nicht le la les un une et ou est sont que qui quoi comment pourquoi quand dans sur avec pour par de
au aux el los las una y o son como donde cuando por para con del
"""
