"""The tokenizer, the special tokens and the template of a folder as Hugging Face has them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from schemas.errors import KaraisError
from schemas.failure import Code
from stores.weights.tokenizer import Special

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_ENDS = ("<|im_end|>", "<|eot_id|>", "<|end|>", "<|endoftext|>", "<end_of_turn>", "</s>")
"""Files that name one end alone often have the chat's beside it."""


class Found(Struct, frozen=True, kw_only=True):
    """What a folder says about its model's text."""

    tokenizer: Any
    """A ``tokenizers.Tokenizer``."""
    special: Special
    control: tuple[str, ...]
    """Tokens that structure a prompt; in a user's text they are only text."""
    template: str
    """The chat template; empty when there is none."""


def read(folder: Path) -> Found:
    """Read a model's folder. Raises KaraisError ``invalid``, naming the file that is missing or damaged."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise KaraisError(
            f"The model's folder {folder} has no tokenizer.json: get it from where the model came from.",
            code=Code.INVALID,
        )
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 - the library raises plain exceptions
        raise KaraisError(f"The tokenizer {file} cannot be read: {error}.", code=Code.INVALID) from None
    return Found(
        tokenizer=tokenizer,
        special=_special(folder, tokenizer),
        control=tuple(
            token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special
        ),
        template=_template(folder),
    )


def config(folder: Path) -> dict[str, Any]:
    """Return a folder's ``config.json``. Raises KaraisError ``invalid`` when there is none."""
    value = _json(folder / "config.json")
    if not value:
        raise KaraisError(
            f"The model's folder {folder} has no config.json that can be read: get it from where the model"
            " came from.",
            code=Code.INVALID,
        )
    return value


def _special(folder: Path, tokenizer: Tokenizer) -> Special:
    generation, model = _json(folder / "generation_config.json"), _json(folder / "config.json")
    described = _json(folder / "tokenizer_config.json")
    ends = [*_numbers(generation.get("eos_token_id")), *_numbers(model.get("eos_token_id"))]
    added = tokenizer.get_added_tokens_decoder()
    ends += [number for number, token in added.items() if token.special and token.content in _ENDS]
    if (named := tokenizer.token_to_id(_text(described.get("eos_token")))) is not None:
        ends.append(named)
    begins = [
        tokenizer.token_to_id(_text(described.get("bos_token"))),
        *_numbers(generation.get("bos_token_id")),
        *_numbers(model.get("bos_token_id")),
    ]
    begin = next((number for number in begins if number is not None), -1)
    adds = begin >= 0 and tokenizer.encode("", add_special_tokens=True).ids[:1] == [begin]
    return Special(begin=begin, adds_begin=adds, ends=tuple(dict.fromkeys(ends)))


def _template(folder: Path) -> str:
    """Return the template: a file of its own counts more than one in a configuration."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text("utf-8", "replace")
    for name in ("chat_template.json", "tokenizer_config.json"):
        value = _json(folder / name).get("chat_template")
        if isinstance(value, list):  # several, each with its name
            texts = {str(item.get("name")): item.get("template") for item in value if isinstance(item, dict)}
            value = texts.get("default") or next(iter(texts.values()), None)
        if isinstance(value, str) and value:
            return value
    return ""


def _text(token: Any) -> str:
    """Return a token's text, which is written as such or as an object."""
    token = token.get("content") if isinstance(token, dict) else token
    return token if isinstance(token, str) else ""


def _numbers(value: Any) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [number for number in values if isinstance(number, int) and number >= 0]


def _json(file: Path) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return {}
    return value if isinstance(value, dict) else {}
