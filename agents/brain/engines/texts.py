"""What makes tokens of messages, for engines that are given tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.brain.stepping.prompts import Prompts
from agents.brain.stepping.vocabulary import Vocabulary
from schemas.errors import KaraisError
from schemas.failure import Code
from stores.weights import gguf_header, tokenizer, tokenizer_folder

if TYPE_CHECKING:
    from stores.weights.gguf_header import Header
    from stores.weights.registry import Model


def text_side(model: Model, header: Header | None = None) -> tuple[Vocabulary, Prompts]:
    """Return a model's vocabulary and template, of a GGUF file or of a folder.

    ``header`` is the file's, if it was read already.

    Raises KaraisError ``invalid`` when one is missing or not known.
    """
    profile = model.manifest.profile
    if model.manifest.kind == "gguf":
        header = header or gguf_header.read_header(model.weights)
        vocabulary = Vocabulary(tokenizer.build(header), tokenizer.special(header))
        template = str(header.metadata.get("tokenizer.chat_template") or "")
        control = gguf_header.control_tokens(header)
    else:
        found = tokenizer_folder.read(model.folder)
        vocabulary = Vocabulary(found.tokenizer, found.special)
        template, control = found.template, found.control
    if not (profile.template or template):
        raise KaraisError(
            f"The model {model.name} in {model.weights} has no chat template, so it was not made for"
            " conversations: choose an instruct model.",
            code=Code.INVALID,
        )
    control = tuple(dict.fromkeys((*profile.control_tokens, *control)))
    return vocabulary, Prompts(profile.template or template, vocabulary, control)
