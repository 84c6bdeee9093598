"""What a model has to offer so that the stepping engine can generate with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from stores.weights.adapters import Adapter

Logits = NDArray[np.float32]


class Lane(Protocol):
    """The keys and values of one sequence of tokens."""

    @property
    def length(self) -> int:
        """Tokens that need not be computed any more."""
        ...


class Runner(Protocol):
    """A loaded model. All methods are called by one thread."""

    @property
    def capacity(self) -> int:
        """Tokens whose keys and values there is room for, over all lanes."""
        ...

    def begin(self, tokens: Sequence[int], most: int, space: str) -> Any | None:
        """Return a lane for a prompt, with as much of it as was computed before; None when there is no room.

        ``most`` is how many tokens the lane may come to hold. ``space`` is
        the key of an adapter that ``adapt`` was given, or empty; lanes share
        prefixes within their space alone. At least the prompt's last token is
        left to be computed.
        """
        ...

    def adapt(self, adapter: Adapter) -> None:
        """Take an adapter, unless it is there; others that no lane uses may have to go for it."""
        ...

    def forward(self, work: Sequence[tuple[Any, Sequence[int]]]) -> Logits:
        """Append tokens to lanes; return the logits behind the last one of each, (lanes, vocabulary).

        The array may be changed by the caller and is valid until the next call.
        """
        ...

    def end(self, lane: Any) -> None:
        """Take a lane back. What it holds serves later prompts as long as there is room."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...
