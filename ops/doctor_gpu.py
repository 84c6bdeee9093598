"""What `karais doctor` says of GPUs: each card, what works on it with what is installed, and the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agents.brain.engines.selecting import select
from agents.common.cards import builds as installed
from agents.common.cards import cards, choosing, support
from agents.common.cards.builds import Build
from agents.common.cards.cards import Card, Machine
from bus.settings import Settings
from ops.findings import Finding, fine, wrong
from schemas.errors import KaraisError
from stores.weights.registry import Model, find

_SAYS = {"yes": "works", "slow": "is slow", "no": "does not work"}


def gpu(settings: Settings) -> Iterator[Finding]:
    """The cards that the driver shows, and what they can do; having none is not wrong."""
    yield from judged(settings, cards.read(), installed.read())


def judged(settings: Settings, machine: Machine, builds: Mapping[str, Build]) -> Iterator[Finding]:
    """Return a finding for each card, and for each part on it, and one for the engine.

    A part that does not work is wrong only when these settings would use it on
    that card, and something can be done about it.
    """
    if not machine.looked:
        yield fine("gpu", "not looked for: nvidia-ml-py is not installed")
        return
    if machine.problem:
        yield wrong("gpu", machine.problem, "See what nvidia-smi says, and install the driver anew.")
        return
    if not machine.cards:
        yield fine("gpu", "none; answers are generated on the CPU")
    wanted = _wanted(settings, builds)
    for card in machine.cards:
        name = f"gpu {card.index}"
        yield fine(name, _described(card))
        for verdict in support.verdicts(card, builds):
            part, text = f"{name} {verdict.part}", f"{_SAYS[verdict.works]}: {verdict.reason}"
            if verdict.works == "no" and verdict.part in wanted and verdict.advice:
                yield wrong(part, text, verdict.advice)
            else:
                yield fine(part, f"{text}. {verdict.advice}" if verdict.advice else text)
    yield from _engine(settings, machine, builds)


def _wanted(settings: Settings, builds: Mapping[str, Build]) -> set[str]:
    """Return the parts that shall compute on a card under these settings."""
    # The embedder computes on the card whenever torch is built for one.
    wanted = {installed.TORCH} if builds[installed.TORCH].backend == "cuda" else set()
    if settings.engine == "scripted" or settings.gpu_layers == 0:
        return wanted
    model = _model(settings)
    kind = model.manifest.kind if model else "gguf"
    engine = settings.engine if settings.engine != "auto" else choosing.engine_of(kind)
    return wanted | {choosing.part_of(engine)}


def _engine(settings: Settings, machine: Machine, builds: Mapping[str, Build]) -> Iterator[Finding]:
    model = _model(settings)
    if settings.engine != "auto":
        yield fine("engine", f"{settings.engine}, as the settings say")
    elif model is not None:
        choice = select(settings, model, machine, builds)
        if choice.engine:
            place = choice.card.name if choice.card else "the CPU"
            yield fine("engine", f"{choice.engine} on {place}: {choice.reason}")
        else:
            yield wrong("engine", f"none fits: {choice.reason}", choice.advice)


def _model(settings: Settings) -> Model | None:
    """Return the model; None when it is not there, which another check tells."""
    try:
        return find(settings.models, settings.model)
    except KaraisError:
        return None


def _described(card: Card) -> str:
    parts = [card.name]
    if card.memory_bytes:
        whole = f"{card.memory_bytes / 2**30:.1f} GiB"
        free = "" if card.free_bytes is None else f"{card.free_bytes / 2**30:.1f} of "
        parts.append(f"{free}{whole} free" if free else whole)
    major, minor = card.compute_capability
    parts.append(f"compute {major}.{minor} ({card.generation})")
    if card.driver:
        parts.append(f"driver {card.driver}")
    if card.cuda:
        parts.append(f"for CUDA up to {card.cuda[0]}.{card.cuda[1]}")
    return f"{', '.join(parts)}; {support.recommended(card)}"
