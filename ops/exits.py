"""With which code KARAIS exits, and the sentence that it leaves behind."""

from __future__ import annotations

import errno

from schemas.errors import KaraisError
from schemas.failure import Code

OK = 0
FAILURE = 1
USAGE = 2
DEFECT = 70
"""``EX_SOFTWARE``: something that is not expected to go wrong went wrong."""
CONFIGURATION = 78
"""``EX_CONFIG``: trying again is of no use before somebody changes something."""

_MENDED_BY_HAND = frozenset({Code.INVALID, Code.NOT_FOUND, Code.FORBIDDEN, Code.TOO_LARGE})


class ConfigurationError(KaraisError):
    """Something that only its owner can change keeps KARAIS from running."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=Code.INVALID)


def exit_code(error: KaraisError) -> int:
    """Return the exit code of a process that ends with this error while it starts.

    What only a person can mend is ``CONFIGURATION``; what may mend itself, such
    as a bus that is down, is ``FAILURE``.
    """
    return CONFIGURATION if error.code in _MENDED_BY_HAND else FAILURE


def explained(error: OSError) -> KaraisError:
    """Return the sentence for a failure of the file system or the network."""
    where = f" ({error.filename})" if error.filename else ""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return ConfigurationError(
                f"The disk is full{where}: free some space, or choose another data folder with KARAIS_HOME."
            )
        case errno.EFBIG:
            return ConfigurationError(f"A file may not grow further{where}: raise the limit (`ulimit -f`).")
        case errno.EROFS:
            return ConfigurationError(f"The file system is read-only{where}: choose another KARAIS_HOME.")
        case errno.EACCES | errno.EPERM:
            return ConfigurationError(
                f"Permission denied{where}: let the user that runs KARAIS read and write it."
            )
    return KaraisError(f"{error.strerror or error}{where}.")
