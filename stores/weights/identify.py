"""What a model file or folder is, told by its content; a name says nothing.

Taken are formats that are only data. A pickle is a program that runs when it
is read, so whatever contains one is refused, however deep in a folder.
"""

from __future__ import annotations

import os
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from schemas.errors import KaraisError
from schemas.failure import Code

Kind = Literal["gguf", "safetensors", "onnx", "ctranslate2", "openvino", "gptq", "exl2", "lora"]
"""``lora`` is an adapter over a model's weights; the others are models."""

_HEAD = 4096
_MAX_FILES = 10_000
_MAX_SAFETENSORS_HEADER = 100 << 20


def identify(path: Path) -> Kind:
    """Return what a file or folder is.

    Raises KaraisError: ``not_found`` when it is not there, ``invalid`` when it
    is damaged, in no format that is taken, or has a pickle in it (the text
    names the file).
    """
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise KaraisError(f"There is no file or folder {path}.", code=Code.NOT_FOUND)
    kind = kind_of_file(path)
    if kind is None:
        raise _unknown(path)
    return kind


def kind_of_file(path: Path) -> Kind | None:
    """Return the format of one file, None when it has no weights (such as a tokenizer's JSON).

    Raises KaraisError ``invalid`` for a pickle or a damaged file.
    """
    if not path.is_file():
        raise KaraisError(f"{path} is neither a file nor a folder.", code=Code.INVALID)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        refuse_pickle(path, head)
        if head.startswith(b"GGUF"):
            return _check_gguf(path)
        if _is_safetensors(path, head):
            return "safetensors"
        if _is_openvino(head):
            return "openvino"
        if _is_ctranslate2(head):
            return "ctranslate2"
        if _is_onnx(head, path.stat().st_size):
            return "onnx"
    except OSError as error:
        raise KaraisError(f"{path} cannot be read: {error.strerror}.", code=Code.INVALID) from None
    return None


def refuse_pickle(path: Path, head: bytes | None = None) -> None:
    """Raise KaraisError ``invalid`` when the file is a pickle or a ZIP archive with one."""
    if head is None:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    with path.open("rb") as file:
        if _is_pickle(file):
            raise _pickled(path)
    if zipfile.is_zipfile(path) and (inner := _pickle_in_zip(path)) is not None:
        raise _pickled(path, inner)
    if _is_tar(path, head):
        raise KaraisError(
            f"{path} is a TAR archive, as old PyTorch files with a pickle are: unpack it, and add the"
            " safetensors or GGUF file in it.",
            code=Code.INVALID,
        )


def _folder(path: Path) -> Kind:
    kinds: dict[Kind, Path] = {}
    for count, file in enumerate(_files(path)):
        if count >= _MAX_FILES:
            raise KaraisError(
                f"The folder {path} has more than {_MAX_FILES:,} files: name the model's own folder.",
                code=Code.INVALID,
            )
        kind = kind_of_file(file)
        if kind is not None:
            kinds.setdefault(kind, file)
    if "safetensors" in kinds:
        if (path / "adapter_config.json").is_file():
            return "lora"
        return _quantised(path) or "safetensors"
    if "openvino" in kinds and not _weights_beside(kinds["openvino"]):
        raise KaraisError(
            f"The OpenVINO model {kinds['openvino']} has no .bin file beside it: copy it there.",
            code=Code.INVALID,
        )
    for kind in ("gguf", "openvino", "ctranslate2", "onnx", "lora"):
        if kind in kinds:
            return kind
    raise _unknown(path)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder, and of those in it; links out of it are refused."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and not path.exists():
            raise KaraisError(f"{path} is a link to nothing.", code=Code.INVALID)
        if path.is_file():
            yield path


def _quantised(folder: Path) -> Kind | None:
    """Tell GPTQ and EXL2 from plain safetensors by what the folder's configuration says."""
    for name in ("config.json", "quantize_config.json", "quantization_config.json"):
        try:
            config: Any = msgspec.json.decode((folder / name).read_bytes())
        except (OSError, msgspec.MsgspecError):
            continue
        if not isinstance(config, dict):
            continue
        inner = config.get("quantization_config")
        inner = inner if isinstance(inner, dict) else config
        method = str(inner.get("quant_method", "")).lower()
        if method == "exl2":
            return "exl2"
        if method == "gptq" or (name == "quantize_config.json" and "bits" in inner and "group_size" in inner):
            return "gptq"
    return None


def _check_gguf(path: Path) -> Kind:
    from stores.weights.gguf_header import read_header

    header = read_header(path)
    size = path.stat().st_size
    if size < header.bytes:
        raise KaraisError(
            f"The GGUF file {path} is truncated: it has {size:,} of {header.bytes:,} bytes; get it again.",
            code=Code.INVALID,
        )
    return "lora" if header.metadata.get("adapter.type") == "lora" else "gguf"


def _is_pickle(file: IO[bytes]) -> bool:
    """Tell a pickle by its instructions, from where the file stands; nothing of it is executed."""
    head = file.read(512)
    file.seek(-len(head), os.SEEK_CUR)
    if head.startswith(b"\x93NUMPY"):  # an array of objects holds pickles
        return re.search(rb"""["'][|<>=]?O\d*["']""", head) is not None
    if not head or head[:1] not in _OPCODES:
        return False
    begun = head[0] == _PROTO and len(head) > 1 and head[1] in _PROTOCOLS
    read = texts = names = calls = 0
    try:
        for opcode, given, _ in pickletools.genops(_Limited(file)):  # type: ignore[arg-type]
            read += 1
            named = isinstance(given, str) and re.fullmatch(r"[\w.]+( [\w.<>]+)?", given) is not None
            texts += named
            names += (opcode.name in ("GLOBAL", "INST") and named) or (
                opcode.name == "STACK_GLOBAL" and texts > 1
            )
            calls += opcode.name in _CALLING
            if opcode.name == "STOP":
                return begun or names > 0 or (calls > 0 and head[0] in _FIRST_OPCODES)
            if read >= _MOST:
                break
    except _Huge:
        return begun or names > 0
    except ValueError:  # it ends in the middle of it, or it is something else
        pass
    except Exception:  # noqa: BLE001 - pickletools raises what its decoders raise
        return False
    # weights that begin with these bytes by chance do not go on as instructions
    return read >= _ENOUGH and (begun or (calls > 0 and (names > 0 or head[0] in _FIRST_OPCODES)))


class _Huge(Exception):
    """An instruction has more data than is read to look at it."""


class _Limited:
    """A file whose pieces have a limit."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, count: int) -> bytes:
        if count > _MAX_PIECE:
            raise _Huge
        return self._file.read(count)

    def readline(self) -> bytes:
        line = self._file.readline(_MAX_PIECE)
        if len(line) == _MAX_PIECE:
            raise _Huge
        return line


_PROTO = 0x80
_PROTOCOLS = range(2, 6)
_ENOUGH = 4
_MOST = 1000
_MAX_PIECE = 16 << 20
_OPCODES = frozenset(opcode.code.encode("latin-1") for opcode in pickletools.opcodes)
_FIRST_OPCODES = frozenset(b"\x80(c]}ild")
"""With these what ``pickle`` itself writes begins; a pickle made by hand can begin with any."""
_CALLING = frozenset(
    (
        "GLOBAL",
        "STACK_GLOBAL",
        "REDUCE",
        "INST",
        "OBJ",
        "NEWOBJ",
        "NEWOBJ_EX",
        "BUILD",
        "EXT1",
        "EXT2",
        "EXT4",
    )
)


def _pickle_in_zip(path: Path) -> str | None:
    """Return the first member with a pickle; archives in archives are not opened but refused."""
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename.lower().endswith((".pkl", ".pickle")):
                    return info.filename
                with archive.open(info) as member:
                    head = member.read(4)
                    member.seek(0)
                    pickled = _is_pickle(member)
                if head.startswith(b"PK\x03\x04"):
                    raise KaraisError(
                        f"{path} has an archive in an archive ({info.filename}), which is not looked into:"
                        " unpack it, and add the weights in it.",
                        code=Code.INVALID,
                    )
                if pickled:
                    return info.filename
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return "an archive that cannot be read"
    return None


def _is_tar(path: Path, head: bytes) -> bool:
    return head[257:262] == b"ustar" or (
        head.startswith(b"pickle") and b"\0" in head and path.stat().st_size > 512
    )


def _is_safetensors(path: Path, head: bytes) -> bool:
    """Eight bytes of length, then a JSON object that says where each tensor lies."""
    if len(head) < 10 or head[8:9] != b"{":
        return False
    (length,) = struct.unpack("<Q", head[:8])
    size = path.stat().st_size
    if not 2 <= length <= _MAX_SAFETENSORS_HEADER:
        return False
    if 8 + length > size:
        raise _truncated(path)
    with path.open("rb") as file:
        file.seek(8)
        try:
            header = msgspec.json.decode(file.read(length), type=dict[str, Any])
        except msgspec.MsgspecError:
            return False
    ends = [
        entry["data_offsets"][1]
        for name, entry in header.items()
        if name != "__metadata__" and _has_offsets(entry)
    ]
    if ends and 8 + length + max(ends) > size:
        raise _truncated(path)
    return True


def _has_offsets(entry: object) -> bool:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    return isinstance(offsets, list) and len(offsets) == 2 and all(isinstance(o, int) for o in offsets)


def _is_openvino(head: bytes) -> bool:
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    return text.startswith((b"<?xml", b"<net")) and b"<net " in text and b"<layers" in text


def _weights_beside(xml: Path) -> bool:
    return any(path.suffix == ".bin" for path in xml.parent.iterdir())


def _is_ctranslate2(head: bytes) -> bool:
    """A version number, then the model's class name with its length, zero-terminated."""
    if len(head) < 16:
        return False
    version, length = struct.unpack("<IH", head[:6])
    name = head[6 : 6 + length]
    return (
        1 <= version <= 64
        and 4 < length <= 64
        and name.endswith(b"\0")
        and name[:-1].isalnum()
        and b"Spec" in name
    )


def _is_onnx(head: bytes, size: int) -> bool:
    """A protobuf message that begins with the IR version (field 1) and goes on with known fields."""
    if size < 16 or head[0] != 0x08 or not 1 <= head[1] <= 20:
        return False
    position = 2
    for _ in range(4):
        if position >= len(head):
            return False
        key = head[position]
        field, wire = key >> 3, key & 7
        if field == 7 and wire == 2:  # the graph
            return True
        if field not in (2, 3, 4, 5, 6, 8, 14, 20) or wire not in (0, 2):
            return False
        value, position = _varint(head, position + 1)
        if wire == 2:
            position += value
    return False


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return value, position


def _pickled(path: Path, inner: str = "") -> KaraisError:
    where = f" (in it: {inner})" if inner else ""
    return KaraisError(
        f"{path} contains a pickle{where}, which can run any program when it is read, so it is refused:"
        " take the model as safetensors or GGUF.",
        code=Code.INVALID,
    )


def _truncated(path: Path) -> KaraisError:
    return KaraisError(f"The safetensors file {path} is truncated: get it again.", code=Code.INVALID)


def _unknown(path: Path) -> KaraisError:
    return KaraisError(
        f"{path} holds no weights that are known here: GGUF, safetensors (plain, GPTQ or EXL2), ONNX,"
        " CTranslate2 and OpenVINO IR are taken.",
        code=Code.INVALID,
    )
