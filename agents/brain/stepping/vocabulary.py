"""A model's tokens: text to tokens, tokens to bytes, and which of them end an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from stores.weights.tokenizer import Special


class Vocabulary:
    """The tokens of one model. Can be used by several threads."""

    def __init__(self, tokenizer: Tokenizer, special: Special) -> None:
        self._tokenizer = tokenizer
        self.special = special
        self.ends = frozenset(special.ends)
        self.size = tokenizer.get_vocab_size(with_added_tokens=True)
        self._bytes = _bytes_of(tokenizer)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a rendered prompt; control tokens in it count as such."""
        tokens = self.encode_text(text)
        if self.special.adds_begin and tokens[:1] != [self.special.begin]:
            tokens.insert(0, self.special.begin)
        return tokens

    def encode_text(self, text: str) -> list[int]:
        """Return a text's tokens alone."""
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return tokens

    def count(self, text: str) -> int:
        """Return how many tokens a piece of a prompt has."""
        return len(self.encode_text(text))

    def bytes_of(self, token: int) -> bytes:
        """Return a token's bytes; nothing for one that is no text."""
        return self._bytes[token] if token < len(self._bytes) else b""

    def text_of(self, token: int) -> str:
        """Return the text of a special token, such as the one that begins a text; nothing for -1."""
        return "" if token < 0 else self._tokenizer.id_to_token(token) or ""

    def for_grammars(self) -> Any:
        """Return the tokenizer as the library of grammars wants it. Takes some 0.3 s."""
        import llguidance

        ends = list(self.special.ends) or [0]
        return llguidance.LLTokenizer(
            llguidance.TokenizerWrapper(_ForGrammars(self, ends[0])), n_vocab=self.size, eos_token=ends
        )


class _ForGrammars:
    """A vocabulary as the library of grammars asks for it."""

    def __init__(self, vocabulary: Vocabulary, end: int) -> None:
        self._vocabulary = vocabulary
        self.eos_token_id = end
        self.bos_token_id = vocabulary.special.begin if vocabulary.special.begin >= 0 else None
        numbers = range(vocabulary.size)
        # What is no text must not be taken for any: it gets bytes that no text has.
        self.tokens = [vocabulary.bytes_of(n) or b"\xff<%d>" % n for n in numbers]
        self.special_token_ids = [n for n in numbers if not vocabulary.bytes_of(n)]
        # Some tokenizers put a space before every text. What is asked here is the middle of one.
        first = b"".join(map(vocabulary.bytes_of, vocabulary.encode_text("a")))
        self._before = "" if first == b"a" else "\x02"
        self._skipped = len(vocabulary.encode_text(self._before))

    def __call__(self, text: str | bytes) -> list[int]:
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return self._vocabulary.encode_text(self._before + text)[self._skipped :]


def _bytes_of(tokenizer: Tokenizer) -> list[bytes]:
    """Return each token's bytes, by its number."""
    added = tokenizer.get_added_tokens_decoder()
    pieces = tokenizer.get_vocab(with_added_tokens=True)
    table = [b""] * (max(pieces.values(), default=-1) + 1)
    characters = _byte_characters() if "ByteLevel" in repr(tokenizer.decoder) else None
    for piece, number in pieces.items():
        if number in added:
            table[number] = b"" if added[number].special else added[number].content.encode()
        elif characters is not None:
            table[number] = bytes(characters[c] for c in piece if c in characters)
        elif len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            table[number] = bytes([int(piece[3:5], 16)])
        else:
            table[number] = piece.replace("▁", " ").encode()
    return table


def _byte_characters() -> dict[str, int]:
    """Return GPT-2's table: the printable character that stands for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(byte): byte for byte in plain}
    others = (byte for byte in range(256) if byte not in set(plain))
    return table | {chr(256 + number): byte for number, byte in enumerate(others)}
