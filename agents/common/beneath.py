"""Opening what lies in the storage, and nothing else.

A path is walked folder by folder from the storage's own descriptor, and no
link is followed at any step: what a name means cannot be exchanged between
looking at it and opening it, and no ``..``, absolute path, link or mount of
``/proc`` leads out. A hard link is no link in this sense: it is a file of the
storage that has another name elsewhere, and who may make it may read the file.
"""

from __future__ import annotations

import errno
import os
import stat

from schemas.errors import KaraisError
from schemas.failure import Code

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


def open_beneath(root: str, path: str, *, folder: bool = False) -> int:
    """Open a file, or with ``folder`` a folder, below ``root`` without following any link.

    Returns the descriptor; an empty path is the root itself. Raises
    KaraisError: ``forbidden`` for what leads out or is a link, ``not_found``
    for what is not there, ``invalid`` for what is no file (or folder).
    """
    try:
        descriptor = walk_beneath(root, path, folder=folder)
    except OSError as error:
        raise unreadable(error) from None
    except ValueError:
        raise KaraisError("Its name cannot be given to the file system.", code=Code.INVALID) from None
    if not folder and not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise KaraisError("It is no regular file.", code=Code.INVALID)
    return descriptor


def walk_beneath(root: str, path: str, *, folder: bool) -> int:
    """Return the descriptor as ``open_beneath`` does; raises OSError as the file system says it."""
    parts = path.split("/") if path else []
    if any(part in ("", ".", "..") for part in parts) or not (parts or folder):
        raise KaraisError("Its path leads out of the storage.", code=Code.FORBIDDEN)
    current = os.open(root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    for number, part in enumerate(parts, 1):
        inside = folder or number < len(parts)
        # Without O_NONBLOCK, opening a pipe would wait for its other end.
        flags = _FLAGS | (os.O_DIRECTORY if inside else os.O_NONBLOCK)
        try:
            following = os.open(part, flags, dir_fd=current)
        except OSError as error:
            if error.errno == errno.ENOTDIR and _is_link(part, current):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
            raise
        finally:
            os.close(current)
        current = following
    return current


def unreadable(error: OSError) -> KaraisError:
    """Return why something cannot be read."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return KaraisError("There is no permission to read it.", code=Code.FORBIDDEN)
    if error.errno in (errno.ELOOP, errno.EMLINK):
        return KaraisError("It is a link, and links are not followed.", code=Code.FORBIDDEN)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return KaraisError("It is not there any more.", code=Code.NOT_FOUND)
    if error.errno in (errno.ENXIO, errno.ENODEV):
        return KaraisError("It is no regular file.", code=Code.INVALID)
    return KaraisError(f"It cannot be read: {error.strerror}.", code=Code.UNAVAILABLE)


def _is_link(name: str, descriptor: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode)
    except OSError:
        return False
