"""Models from a hub, where one can be reached: only formats that are data, never a pickle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code

_SAFE = ("*.safetensors", "*.gguf", "*.json", "*.txt", "*.model", "*.jinja", "*.onnx", "*.xml")
_PREFERRED = ("q4_0", "q8_0", "q4_k_m", "q5_k_m", "q6_k", "f16", "bf16")
"""Of a repository with many GGUF files, the first of these is taken."""


def snapshot(repository: str, folder: Path, *, room: Callable[[int], None]) -> None:
    """Download a repository's weights and configuration; goes on where it was interrupted. Blocks.

    ``room`` is called with the bytes before they are fetched and may refuse.
    Raises KaraisError: ``not_found`` for an unknown repository, ``invalid``
    when it has no weights in a format that is taken, ``unavailable`` when the
    hub cannot be reached.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        files = HfApi().model_info(repository, files_metadata=True).siblings or []
        sizes = {file.rfilename: file.size or 0 for file in files}
        wanted = choose(sizes)
        if not wanted:
            raise KaraisError(
                f"The repository {repository} has no safetensors, GGUF, ONNX or OpenVINO weights.",
                code=Code.INVALID,
            )
        room(sum(sizes[name] for name in wanted) * 2)
        snapshot_download(repository, local_dir=folder, allow_patterns=wanted)
    except GatedRepoError:
        raise KaraisError(
            f"The repository {repository} asks for a login: run `hf auth login` first.", code=Code.FORBIDDEN
        ) from None
    except RepositoryNotFoundError:
        raise KaraisError(f"The hub has no repository {repository}.", code=Code.NOT_FOUND) from None
    except (HfHubHTTPError, OSError) as error:
        raise Unavailable(
            f"The hub cannot be reached for {repository} ({type(error).__name__}): look at the network, or"
            " download the model elsewhere and run `karais models add PATH`."
        ) from None
    except Exception as error:
        # the hub's HTTP library changes between releases; its errors are all about the network
        if type(error).__module__.split(".")[0] in ("httpx", "httpx2", "httpcore", "requests", "urllib3"):
            raise Unavailable(
                f"The hub cannot be reached for {repository} ({error}): look at the network, or download the"
                " model elsewhere and run `karais models add PATH`."
            ) from None
        raise


def choose(sizes: dict[str, int]) -> list[str]:
    """Return the files to fetch: one GGUF file, or the safetensors with their configuration."""
    from fnmatch import fnmatch

    safe = [name for name in sizes if any(fnmatch(name.lower(), pattern) for pattern in _SAFE)]
    ggufs = sorted(name for name in safe if name.lower().endswith(".gguf"))
    if ggufs:
        for word in _PREFERRED:
            for name in ggufs:
                if word in name.lower().replace("-", "_"):
                    return [name]
        return ggufs[:1]
    weights = [name for name in safe if name.endswith((".safetensors", ".onnx", ".xml"))]
    if not weights:
        return []
    beside = [name[:-4] + ".bin" for name in weights if name.endswith(".xml") and name[:-4] + ".bin" in sizes]
    return sorted({*safe, *beside})
