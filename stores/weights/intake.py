"""Taking a local file or folder into the Tier-0 folder."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights import registry
from stores.weights.identify import identify, kind_of_file
from stores.weights.registry import Model, Preparation, Profile

if TYPE_CHECKING:
    from stores.weights.prepare import Recipe
    from stores.weights.registry import Progress


def name_for(path: Path) -> str:
    """Return a name for a model, from its file's or folder's name."""
    stem = path.name.removesuffix(".gguf").removesuffix(".safetensors").removesuffix(".onnx")
    name = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:64]
    if not name:
        raise KaraisError(f"{path} gives no name for a model: choose one with --name.", code=Code.INVALID)
    return name


def take(models: Path, path: Path, name: str, *, source: str, progress: Progress | None = None) -> Model:
    """Register a file or folder, as it is, under a name; see ``ops.models.add`` for the errors."""
    kind = identify(path)
    with registry.adding(models, name) as folder:
        try:
            if path.is_dir():
                _link_tree(path, folder)
            else:
                _link(path, folder / path.name)
        except OSError as error:
            raise Unavailable(
                f"{path} cannot be copied into {models}: {error.strerror}; free some space and try again."
            ) from None
        main = ""
        profile = Profile()
        if kind == "gguf":
            weights = _main_gguf(folder)
            main = weights.relative_to(folder).as_posix()
            profile = completed(profile, weights)
        return registry.commit(
            models,
            folder,
            name=name,
            kind=kind,
            main=main,
            source=source,
            profile=profile,
            progress=progress,
        )


def completed(profile: Profile, gguf: Path) -> Profile:
    """Return a profile with what the GGUF file says about its model."""
    from stores.weights.gguf_header import control_tokens, read_header, training_context

    header = read_header(gguf)
    return msgspec.structs.replace(
        profile,
        context=profile.context or training_context(header),
        license=profile.license or str(header.metadata.get("general.license", "")),
        control_tokens=control_tokens(header),
    )


def prepare(gguf: Path, recipe: Recipe, progress: Progress | None = None) -> Preparation:
    """Rewrite a GGUF file in place; return what was done."""
    from stores.weights.prepare import rewrite

    began = time.monotonic()
    before = registry.sha256_of(gguf)
    rewrite(gguf, gguf, recipe, progress=progress)
    return Preparation(recipe=recipe.text, from_sha256=before, seconds=round(time.monotonic() - began, 1))


def _main_gguf(folder: Path) -> Path:
    """Return the file to load: the largest; of a model split over files, the first part."""
    ggufs = [path for path in sorted(folder.rglob("*")) if path.is_file() and kind_of_file(path) == "gguf"]
    parts = [path for path in ggufs if re.search(r"-0*1-of-\d+\.gguf$", path.name)]
    return parts[0] if parts else max(ggufs, key=lambda path: path.stat().st_size)


def _link_tree(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if any(part.startswith(".") for part in relative.parts) or not path.is_file():
            continue
        (target / relative).parent.mkdir(parents=True, exist_ok=True)
        _link(path, target / relative)


def _link(source: Path, target: Path) -> None:
    """Link a file, or copy it where links are not possible."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
