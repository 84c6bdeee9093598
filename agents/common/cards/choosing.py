"""Which engine and which card ``engine = "auto"`` means, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from agents.common.cards import support
from agents.common.cards.builds import EXLLAMAV2, LLAMACPP, TORCH, Build
from agents.common.cards.cards import Card
from agents.common.cards.support import Verdict
from stores.weights.identify import Kind

Engine = Literal["llamacpp", "exllamav2", "transformers", "openvino", ""]
_ENGINES: Mapping[Kind, Engine] = {
    "gguf": "llamacpp", "exl2": "exllamav2", "gptq": "exllamav2", "safetensors": "transformers",
    "openvino": "openvino",
}  # fmt: skip
_PARTS: Mapping[Engine, str] = {"llamacpp": LLAMACPP, "exllamav2": EXLLAMAV2, "transformers": TORCH}
_WORTH = {"yes": 2, "slow": 1, "no": 0}


class Choice(Struct, frozen=True, kw_only=True):
    """An engine, what it computes on, and why."""

    engine: Engine
    """Empty when no engine can use these weights on this machine."""
    card: Card | None
    """None for the CPU."""
    reason: str
    """One sentence without its full stop, for doctor and the log."""
    advice: str = ""
    """What would be better, or mend it; empty when nothing would."""


def part_of(engine: str) -> str:
    """Return the part whose build an engine computes with; empty when it uses no NVIDIA card."""
    return next((part for name, part in _PARTS.items() if name == engine), "")


def engine_of(weights: Kind) -> Engine:
    """Return the engine that takes weights of this kind; empty when none does."""
    return _ENGINES.get(weights, "")


def choose(cards: Sequence[Card], builds: Mapping[str, Build], weights: Kind) -> Choice:
    """Return the engine for weights of this kind: on the best card, else on the CPU.

    The best card is the one on which the engine's part works best and, among
    equals, with the most memory free. Weights decide the engine, since each
    takes kinds that the others do not; llama.cpp, transformers and OpenVINO
    can fall back to the CPU, exllamav2 cannot.
    """
    engine = engine_of(weights)
    if not engine:
        return Choice(
            engine="", card=None, reason=f"no engine generates answers with {weights} weights",
            advice="Choose a model with GGUF weights.",
        )  # fmt: skip
    judged = [(card, _verdict(engine, card, builds)) for card in cards if engine in _PARTS]
    judged.sort(key=lambda pair: (_WORTH[pair[1].works], _free(pair[0])), reverse=True)
    best = judged[0] if judged else None
    if best and best[1].works != "no":
        card, verdict = best
        return Choice(
            engine=engine, card=card, advice=verdict.advice,
            reason=f"{weights} weights, and {verdict.part} works on {card.name} ({verdict.reason})"
            if verdict.works == "yes"
            else f"{weights} weights; on {card.name} {verdict.part} is slow: {verdict.reason}",
        )  # fmt: skip
    why = (
        f"on {best[0].name} {best[1].part} does not work: {best[1].reason}"
        if best
        else "there is no NVIDIA card"
    )
    advice = best[1].advice if best else ""
    if engine == "exllamav2":
        return Choice(
            engine="", card=None, reason=f"{weights} weights need exllamav2 on a card, and {why}",
            advice=advice or "Choose a model with GGUF weights.",
        )  # fmt: skip
    if engine == "openvino":
        return Choice(engine=engine, card=None, reason="openvino weights, which it computes on the CPU")
    return Choice(engine=engine, card=None, reason=f"{weights} weights, on the CPU: {why}", advice=advice)


def _verdict(engine: Engine, card: Card, builds: Mapping[str, Build]) -> Verdict:
    if engine == "exllamav2":
        return support.exllamav2(card, builds)
    if engine == "transformers":
        return support.torch(card, builds[TORCH])
    return support.llamacpp(card, builds[LLAMACPP])


def _free(card: Card) -> int:
    return card.memory_bytes if card.free_bytes is None else card.free_bytes
