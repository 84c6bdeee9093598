"""Getting a model that is known here from a hub: the variant for this machine, verified, with its profile."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from ops.hub import fetch
from ops.models import OnStep, Step, lock, need_room, staged
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights import intake, memory, registry
from stores.weights.fit import fit
from stores.weights.identify import identify
from stores.weights.profiles import Choice, HubModel, choose
from stores.weights.registry import Model

if TYPE_CHECKING:
    from bus.settings import Settings

_MARGIN = 64 << 20
"""Bytes that stay free beside the model."""


def pull_known(settings: Settings, wanted: HubModel, quantisation: str, tell: OnStep) -> Model:
    """Return the model, downloaded unless it is there; see ``ops.models.pull`` for the errors."""
    if (model := _here(settings, wanted, quantisation)) is not None:
        tell(Step(wanted.name, "there", model.bytes, model.bytes))
        return model
    choice = _choice(wanted, quantisation)
    with lock(settings.models):
        if (model := _here(settings, wanted, quantisation)) is not None:  # pulled meanwhile
            return model
        model = _get(settings, wanted, choice, tell)
    tell(Step(wanted.name, "done", model.bytes, model.bytes))
    return model


def _here(settings: Settings, wanted: HubModel, quantisation: str) -> Model | None:
    """Return the model that is there, None when there is none; never is one replaced."""
    folder = settings.models / wanted.name
    if not folder.exists():
        return None
    if not (folder / registry.MANIFEST).exists():
        raise KaraisError(
            f"{folder} is there already, and KARAIS did not put it there: move it away first.",
            code=Code.CONFLICT,
        )
    model = registry.find(settings.models, wanted.name)
    if quantisation and not model.manifest.chosen.lower().startswith(f"{quantisation.lower()} "):
        raise KaraisError(
            f"The model {wanted.name} is there already, as {model.manifest.chosen or model.manifest.source}"
            f" To have {quantisation} instead, run `karais models remove {wanted.name}` first.",
            code=Code.CONFLICT,
        )
    return model


def _choice(wanted: HubModel, quantisation: str) -> Choice:
    """Return the variant that was asked for, else the one for this machine."""
    ram, cards = int(memory.ram() * memory.SHARE), memory.cards()
    if not quantisation:
        return choose(wanted, cards=cards, ram=ram)
    variant = wanted.variant(quantisation)
    if variant is None:
        names = ", ".join(v.quantisation for v in wanted.variants)
        raise KaraisError(
            f"The model {wanted.name} has no variant {quantisation!r} (there are: {names}).",
            code=Code.NOT_FOUND,
        )
    shape, best = wanted.shape(variant), [max(cards)] if cards else []
    tried = [fit(shape, context=context, cards=best, ram=ram) for context in wanted.contexts]
    found = next((f for f in tried if f.where == "card"), None) or next(
        (f for f in tried if f.fits and f.context <= 8192), tried[-1]
    )
    return Choice(variant, found, f"{variant.quantisation} was asked for. {found.sentence}")


def _get(settings: Settings, wanted: HubModel, choice: Choice, tell: OnStep) -> Model:
    cache = settings.cache / "hub" / wanted.name
    variant = choice.variant
    got = fetch(
        wanted.repository,
        wanted.revision,
        variant.file,
        cache,
        sha256=variant.sha256,
        room=lambda size: need_room(settings.home, size + _MARGIN, wanted.name),
        progress=lambda done, total: tell(Step(wanted.name, "downloading", done, total)),
        checking=staged(tell, wanted.name, "checking"),
    )
    if identify(got.path) != "gguf":
        got.path.unlink()
        raise Unavailable(f"{variant.file} of {wanted.repository} is no GGUF file: it was deleted.")
    checked = intake.check_templates(got.path)
    with registry.adding(settings.models, wanted.name) as folder:
        main = folder / variant.file
        shutil.move(got.path, main)
        model = registry.commit(
            settings.models,
            folder,
            name=wanted.name,
            kind="gguf",
            main=variant.file,
            source=f"hub:{wanted.repository}@{got.commit}",
            profile=intake.completed(wanted.profile, main),
            chosen=choice.sentence,
            checked_template=checked,
            known={variant.file: got.sha256},
        )
    shutil.rmtree(cache, ignore_errors=True)
    return model
