"""How much memory this machine has for a model: RAM, as far as this process may use it, and cards."""

from __future__ import annotations

from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
SHARE = 0.8
"""Of the RAM in all, what a model may come to take where nothing is known of the moment of its loading."""


def free_ram(groups: Path = _GROUPS, membership: Path = _MEMBERSHIP) -> int:
    """Return the bytes that can be taken now without swapping, this process's container considered."""
    import psutil

    free = int(psutil.virtual_memory().available)
    for folder in _folders(groups, membership):
        limit, used = _number(folder / "memory.max"), _number(folder / "memory.current")
        if limit is None or used is None:
            continue
        # files that are only cached make room when it is asked for
        free = min(free, limit - used + (_inactive(folder / "memory.stat")))
    return max(0, free)


def ram(groups: Path = _GROUPS, membership: Path = _MEMBERSHIP) -> int:
    """Return the bytes of RAM that there are for this process and others."""
    import psutil

    limits = [_number(folder / "memory.max") for folder in _folders(groups, membership)]
    return min([int(psutil.virtual_memory().total), *(limit for limit in limits if limit is not None)])


def cards() -> tuple[int, ...]:
    """Return the bytes of each NVIDIA card; none where no driver answers."""
    try:
        import pynvml  # type: ignore[import-untyped]

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001 - pynvml's errors have no common public base
        return ()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(pynvml.nvmlDeviceGetCount())]
        return tuple(int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) for handle in handles)
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _folders(groups: Path, membership: Path) -> list[Path]:
    """Return the folders of this process's control groups (version 2), from its own up to the root."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    folder = groups / own.lstrip("/")
    return [part for part in (folder, *folder.parents) if part.is_relative_to(groups)]


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # "max" says that there is no limit
        return None


def _inactive(file: Path) -> int:
    try:
        fields = dict(line.split() for line in file.read_text().splitlines())
        return int(fields.get("inactive_file", 0))
    except (OSError, ValueError):
        return 0
