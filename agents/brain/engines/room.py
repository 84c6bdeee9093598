"""What is looked at before a model is loaded: whether it has room, and whether its template is harmless."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import KaraisError, Unavailable
from stores.weights import intake, memory
from stores.weights.fit import Fit, Shape, fit, largest_context, shape_of, size
from stores.weights.gguf_header import Header, chat_templates, read_header
from stores.weights.profiles import hub_model

if TYPE_CHECKING:
    from bus.settings import Settings
    from stores.weights.registry import Model

log = logging.getLogger(__name__)

_LEAST_CONTEXT = 512
"""Less is no answer to a model that does not fit."""


def header_of(weights: Path) -> Header | None:
    """Return a GGUF file's header, None when it cannot be read: the engine then says what is wrong."""
    try:
        return read_header(weights)
    except (KaraisError, OSError):
        return None


def check_template(model: Model, header: Header) -> None:
    """Raise KaraisError ``invalid`` when the model's own template would be used and is not harmless.

    One that was checked when the model was taken in is not checked again.
    """
    if model.manifest.profile.template:
        return
    templates = chat_templates(header)
    if templates and intake.fingerprint(templates) != model.manifest.checked_template:
        from stores.weights.templates import check

        for template in templates:
            check(template, str(model.weights))


def room_for(
    settings: Settings, model: Model, header: Header, *, cards: Sequence[int], ram: int | None = None
) -> Fit | None:
    """Return where the model fits, None when its header does not tell what it needs.

    ``cards`` are the free bytes of each card that may be used; ``ram`` those
    of the RAM, by default what this process can get. Raises Unavailable, with
    the numbers and what to choose instead, when it does not fit.
    """
    try:
        shape = shape_of(header)
    except KaraisError as error:
        log.warning("No estimate of the memory for %s: %s", model.name, error)
        return None
    free = memory.free_ram() if ram is None else ram
    found = fit(shape, context=settings.context, cards=cards, ram=free, most_layers=settings.gpu_layers)
    log.info("%s: %s", model.name, found.sentence)
    if found.fits:
        return found
    raise Unavailable(
        f"The model {model.name} cannot be loaded from {model.weights}. {found.sentence}"
        f" {_instead(model, shape, cards, free)}"
    )


def _instead(model: Model, shape: Shape, cards: Sequence[int], free: int) -> str:
    """Say what would fit: less context, a smaller variant, or another model."""
    found = largest_context(shape, most=1 << 20, cards=cards, ram=free)
    choices = [f"set `context` to {found} or less"] if found >= _LEAST_CONTEXT else []
    known = hub_model(model.name)
    if known is not None:
        smaller = [v for v in known.variants if v.bytes < model.bytes]
        fitting = [
            v for v in smaller if fit(known.shape(v), context=known.contexts[-1], cards=cards, ram=free).fits
        ]
        if fitting:
            name, other = known.name, fitting[0].quantisation
            choices.append(
                f"take {other} ({size(fitting[0].bytes)}): `karais models remove {name}` and"
                f" `karais models pull {name} --quantisation {other}`"
            )
    choices.append("end other programs" if choices else "set `model` to a smaller one")
    return f"Either {', or '.join(choices)}." if len(choices) > 1 else f"Choose: {choices[0]}."
