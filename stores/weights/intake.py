"""Taking a local file or folder into the Tier-0 folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights import registry
from stores.weights.gguf_header import chat_templates
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


def take(
    models: Path,
    path: Path,
    name: str,
    *,
    source: str,
    profile: Profile | None = None,
    progress: Progress | None = None,
) -> Model:
    """Register a file or folder, as it is, under a name; see ``ops.models.add`` for the errors.

    Its chat templates are read and tried, see ``templates.check``.
    """
    kind = identify(path)
    checked = check_templates(path)
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
        profile = profile or Profile()
        if kind == "lora":
            ggufs = [file.name for file in folder.iterdir() if kind_of_file(file) == "lora"]
            main = ggufs[0] if ggufs else ""
        elif kind == "gguf":
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
            checked_template=checked,
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
        control_tokens=tuple(dict.fromkeys((*profile.control_tokens, *control_tokens(header)))),
    )


def check_templates(path: Path) -> str:
    """Refuse a file or folder whose chat templates no engine should be given; return their SHA-256.

    Empty when there are none. Raises KaraisError ``invalid``, naming the file.
    """
    from stores.weights.templates import check

    found = templates_in(path)
    for where, template in found:
        check(template, where)
    return fingerprint(template for _, template in found)


def fingerprint(templates: Iterable[str]) -> str:
    """Return what tells that templates are those that were checked; empty for none."""
    digests = sorted(hashlib.sha256(template.encode()).hexdigest() for template in templates)
    return hashlib.sha256("".join(digests).encode()).hexdigest() if digests else ""


def templates_in(path: Path) -> list[tuple[str, str]]:
    """Return each chat template of a file or folder, with the name of the file that it is in."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    found = []
    for file in files:
        if file.suffix == ".jinja":
            found.append((str(file), _text(file)))
        elif file.name in ("tokenizer_config.json", "chat_template.json", "processor_config.json"):
            found += [(str(file), template) for template in _in_json(file)]
        elif _begins(file, b"GGUF"):
            found += [(str(file), template) for template in _in_gguf(file)]
    return found


def _in_gguf(file: Path) -> list[str]:
    from stores.weights.gguf_header import read_header

    return chat_templates(read_header(file))


def _in_json(file: Path) -> list[str]:
    try:
        value = msgspec.json.decode(_text(file))
    except msgspec.MsgspecError:
        return []
    value = value.get("chat_template") if isinstance(value, dict) else None
    if isinstance(value, list):  # several, each with its name
        return [str(item["template"]) for item in value if isinstance(item, dict) and "template" in item]
    if isinstance(value, dict):
        return [str(item) for item in value.values()]
    return [value] if isinstance(value, str) and value else []


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError as error:
        raise KaraisError(f"{file} cannot be read: {error.strerror}.", code=Code.INVALID) from None


def _begins(file: Path, magic: bytes) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(magic)) == magic


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
