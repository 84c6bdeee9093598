"""Models from a hub, where one can be reached: only formats that are data, never a pickle.

Which hub is said by ``HF_ENDPOINT``, and ``HF_TOKEN`` or ``hf auth login`` by
which right; nothing is asked of it but what the owner pulls by name.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights.registry import sha256_of

if TYPE_CHECKING:
    from stores.weights.registry import Progress

_SAFE = ("*.safetensors", "*.gguf", "*.json", "*.txt", "*.model", "*.jinja", "*.onnx", "*.xml")
_PREFERRED = ("q4_0", "q8_0", "q4_k_m", "q5_k_m", "q6_k", "f16", "bf16")
"""Of a repository with many GGUF files, the first of these is taken."""
_ATTEMPTS = 5
"""Attempts in a row that bring nothing before a download is given up."""
_PAUSE_S = 1.0
_TIMEOUT_S = 30.0
"""Without a byte for so long a connection counts as cut."""
_PARTIAL = 206
_SHA256_LENGTH = 64
_NETWORK = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")
"""The hub's HTTP library changes between releases; its errors are all about the network."""


class Fetched(Struct, frozen=True):
    """A file that was downloaded."""

    path: Path
    sha256: str
    commit: str
    """The hub's commit that it is of."""


def endpoint() -> str:
    """Return the hub's address: ``HF_ENDPOINT``, else the public one."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def snapshot(
    repository: str,
    folder: Path,
    *,
    room: Callable[[int], None],
    progress: Progress,
    quantisation: str = "",
) -> str:
    """Download a repository's weights and configuration; goes on where it was cut off. Blocks.

    Returns the commit that they are of. ``room`` is called with the bytes
    before they are fetched and may refuse; ``quantisation`` names the GGUF
    file to take of several. Raises KaraisError: ``not_found`` for an unknown
    repository, ``forbidden`` when it asks for a login, ``invalid`` when it has
    no weights in a format that is taken, ``unavailable`` when the hub cannot
    be reached.
    """
    _quiet()
    from huggingface_hub import HfApi, hf_hub_download

    with _hub_errors(repository):
        about = HfApi(endpoint=endpoint()).model_info(repository, files_metadata=True)
        files, commit = about.siblings or [], about.sha or "main"
        sizes = {file.rfilename: file.size or 0 for file in files}
        hashes = {file.rfilename: file.lfs.sha256 for file in files if file.lfs is not None}
        wanted = choose(sizes, quantisation)
        if not wanted:
            raise KaraisError(
                f"The repository {repository} has no GGUF file {quantisation!r}."
                if quantisation
                else f"The repository {repository} has no safetensors, GGUF, ONNX or OpenVINO weights.",
                code=Code.INVALID,
            )
        done, total = 0, sum(sizes[name] for name in wanted)
        room(total - sum(sizes[name] for name in wanted if (folder / name).exists()))
        for name in wanted:
            if name not in hashes:
                hf_hub_download(repository, name, revision=commit, local_dir=folder, endpoint=endpoint())
                continue
            whole = folder / name
            if not whole.exists() or sha256_of(whole) != hashes[name]:  # it may be of an earlier commit
                got = fetch(
                    repository,
                    commit,
                    name,
                    folder.with_name(f"{folder.name}.parts"),
                    sha256=hashes[name],
                    room=room,
                    progress=partial(_part_of, progress, done, total),
                )
                whole.parent.mkdir(parents=True, exist_ok=True)
                got.path.replace(whole)
            done += sizes[name]
    return commit


def fetch(
    repository: str,
    revision: str,
    file: str,
    folder: Path,
    *,
    sha256: str = "",
    room: Callable[[int], None],
    progress: Progress,
    checking: Progress | None = None,
) -> Fetched:
    """Download one file of one revision; goes on where an earlier call was cut off. Blocks.

    The SHA-256 has to be the one the hub has for it and, where ``sha256`` is
    given, that one. Raises what ``snapshot`` raises, and ``not_found`` when the
    revision or the file is not there, ``unavailable`` when what came is
    something else (it is deleted then) or the connection is cut too often.
    """
    _quiet()
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils._headers import build_hf_headers

    with _hub_errors(repository):
        url = hf_hub_url(repository, file, revision=revision, endpoint=endpoint())
        headers = build_hf_headers()
        known = get_hf_file_metadata(url, headers=headers, endpoint=endpoint())
    etag = known.etag or ""
    if known.size is None or len(etag) != _SHA256_LENGTH:
        raise Unavailable(
            f"The hub {endpoint()} gives no size or no SHA-256 for {file}, so it could not be verified:"
            " take the model from another hub (HF_ENDPOINT), or download it elsewhere and run"
            " `karais models add PATH`."
        )
    if sha256 and etag != sha256:
        raise _other(file, f"the hub has it with the SHA-256 {etag[:12]}…, pinned is {sha256[:12]}…")
    folder.mkdir(parents=True, exist_ok=True)
    # under the hash: what is there of another revision is not continued with this one
    part = folder / f"{etag}.part"
    for old in folder.iterdir():
        if old != part:
            old.unlink()
    have = part.stat().st_size if part.exists() else 0
    room(max(0, known.size - have))
    location = urljoin(url, known.location)
    if urlsplit(location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # the token is for the hub, not for where its files lie
    with _hub_errors(repository):
        _download(location, part, known.size, headers, progress)
    if (actual := sha256_of(part, checking)) != etag:
        part.unlink()
        raise _other(file, "its SHA-256 differs from the hub's")
    return Fetched(part, actual, known.commit_hash or revision)


def choose(sizes: dict[str, int], quantisation: str = "") -> list[str]:
    """Return the files to fetch: one GGUF file, or the safetensors with their configuration."""
    from fnmatch import fnmatch

    safe = [name for name in sizes if any(fnmatch(name.lower(), pattern) for pattern in _SAFE)]
    ggufs = sorted(name for name in safe if name.lower().endswith(".gguf"))
    if quantisation:
        return [name for name in ggufs if variant_of(name, quantisation)][:1]
    weights = [name for name in safe if name.endswith((".safetensors", ".onnx", ".xml"))]
    if not weights:
        return []
    beside = [name[:-4] + ".bin" for name in weights if name.endswith(".xml") and name[:-4] + ".bin" in sizes]
    return sorted({*safe, *beside})


def variant_of(name: str, quantisation: str) -> bool:
    """Tell whether a GGUF file's name ends in a quantisation's."""
    return re.search(rf"(^|[^a-z0-9]){re.escape(_plain(quantisation))}\.gguf$", _plain(name)) is not None


def _part_of(progress: Progress, done: int, total: int, part: int, _: int) -> None:
    progress(done + part, total)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _download(url: str, part: Path, size: int, headers: dict[str, str], progress: Progress) -> None:
    """Fetch what is missing of a file. A cut connection is taken up again while something comes."""
    from huggingface_hub.errors import HfHubHTTPError

    failed = 0
    part.touch()
    while (before := part.stat().st_size) != size:
        try:
            _stream(url, part, before, size, headers, progress)
            continue
        except HfHubHTTPError as error:
            if error.response is None or error.response.status_code < 500:
                raise
            reason: Exception = error
        except OSError as error:
            if error.errno is not None and not isinstance(error, ConnectionError):
                raise Unavailable(f"{part} cannot be written: {error.strerror}; free some space.") from None
            reason = error
        except Exception as error:
            if not _is_network(error):
                raise
            reason = error
        failed = 0 if part.stat().st_size > before else failed + 1
        if failed >= _ATTEMPTS:
            raise reason
        time.sleep(_PAUSE_S * failed)


def _stream(url: str, part: Path, start: int, size: int, headers: dict[str, str], progress: Progress) -> None:
    """Write what one connection brings. The library's own way loses up to 10 MB when it is cut."""
    from huggingface_hub.utils._http import get_session, hf_raise_for_status

    headers = {**headers, "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with (
        get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT_S, follow_redirects=True) as reply,
        part.open("rb+") as file,
    ):
        hf_raise_for_status(reply)
        if start and reply.status_code != _PARTIAL:
            start = 0  # it does not know of ranges: from the beginning
        file.seek(start)
        file.truncate()
        for block in reply.iter_bytes():
            if file.tell() + len(block) > size:
                raise _other(part.stem, f"it is longer than {size:,} bytes")
            file.write(block)
            progress(file.tell(), size)


def _other(file: str, why: str) -> Unavailable:
    return Unavailable(
        f"{file} from {endpoint()} is not the file that is wanted ({why}): it was not kept. Try again, or set"
        " HF_ENDPOINT to another hub."
    )


def _quiet() -> None:
    """Let the hub's library tell nothing about this machine, and draw no bars of its own."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


def _is_network(error: Exception) -> bool:
    return type(error).__module__.split(".")[0] in _NETWORK


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    """Turn what the hub's library raises into errors that say what to do."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError:
        raise KaraisError(
            f"The repository {repository} on {endpoint()} is open only to those who agreed to its terms:"
            f" agree on {endpoint()}/{repository}, run `hf auth login`, and pull again.",
            code=Code.FORBIDDEN,
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise KaraisError(
                f"The hub {endpoint()} refuses {repository} without a valid login (HTTP {status}): run"
                " `hf auth login` or set HF_TOKEN, and look whether the name is right.",
                code=Code.FORBIDDEN,
            ) from None
        if isinstance(error, RepositoryNotFoundError):
            what = f"repository {repository}"
        elif isinstance(error, RevisionNotFoundError):
            what = f"such revision of {repository}"
        elif isinstance(error, EntryNotFoundError):
            what = f"such file in {repository} ({urlsplit(str(error.response.url)).path.rsplit('/', 1)[-1]})"
        else:
            raise Unavailable(_unreachable(repository, f"HTTP {status}")) from None
        raise KaraisError(f"The hub {endpoint()} has no {what}.", code=Code.NOT_FOUND) from None
    except KaraisError:
        raise
    except OSError as error:
        raise Unavailable(_unreachable(repository, str(error) or type(error).__name__)) from None
    except Exception as error:
        if _is_network(error):
            raise Unavailable(_unreachable(repository, str(error) or type(error).__name__)) from None
        raise


def _unreachable(repository: str, why: str) -> str:
    why = why.splitlines()[0][:200].rstrip(".")
    return (
        f"The hub {endpoint()} cannot be reached for {repository} ({why}): look at the network and at"
        " HF_ENDPOINT, or download the model elsewhere and run `karais models add PATH`. What came is kept."
    )
