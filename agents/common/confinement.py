"""Giving up, for good, what a process does not need: writing, other folders, the network.

A parser of hostile files needs the files and its own libraries. Should one of
them ever make it run foreign code, or open what a document names, the kernel
refuses: Landlock (Linux 5.13 and later) for files and TCP, and a network
name space of its own without any interface where the system allows one. What
a kernel does not offer is left out; limits of time and memory hold anyway.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38
_READ_FILE, _READ_FOLDER, _EXECUTE, _WRITE = 4, 8, 1, 2
_OF_FILES = _READ_FILE | _EXECUTE | _WRITE
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""Number of rights that a version of Landlock knows; later ones know 16."""
_TCP = 3
_SCOPES = 3
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_SYSTEM = (
    *("/usr", "/lib", "/lib64", "/dev/urandom", "/proc/self"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/apache2/mime.types"),
)


def confine(readable: Iterable[str]) -> int:
    """Let this process read these folders and its libraries, and write and connect nowhere from now on.

    Returns the version of Landlock that holds it; 0 where the kernel has none.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK) and os.geteuid():
        libc.unshare(_NEW_USER | _NEW_NETWORK)
    version = int(libc.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION))
    if version < 1:
        return 0
    handled = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    attributes = struct.pack("<Q", handled)
    if version >= 4:
        attributes += struct.pack("<Q", _TCP)
    if version >= 6:
        attributes += struct.pack("<Q", _SCOPES)
    rules = int(libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0))
    if rules < 0:
        return 0
    try:
        code = str(Path(__file__).parents[2])
        paths = {*readable, *_SYSTEM, *filter(None, sys.path), sys.prefix, sys.base_prefix, code}
        for path in sorted(paths):
            _allow(libc, rules, path, _READ_FILE | _READ_FOLDER | _EXECUTE)
        _allow(libc, rules, "/dev/null", _READ_FILE | _WRITE)
        if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.syscall(_RESTRICT, rules, 0):
            return 0
    finally:
        os.close(rules)
    return version


def _allow(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not os.path.isdir(path):
                rights &= _OF_FILES
            beneath = struct.pack("<Qi", rights, descriptor)
            libc.syscall(_ADD, rules, _PATH_BENEATH, beneath, 0)
        finally:
            os.close(descriptor)
