"""Which tokens' keys and values lie in which block, and whose prefix they can serve.

The cache is cut into blocks of some tokens. Blocks form a tree: the path from
a root to a node spells a text's beginning, so a prompt that begins like an
earlier one finds the blocks of what they share. Full blocks are shared; where
two texts part within a block, the common beginning of the block is copied, so
that no token that was computed once is computed again while it is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

Copy = Callable[[int, int], None]
"""Copies a block's keys and values: from, to."""


@dataclass(eq=False, slots=True)
class _Node:
    """A block behind its parent's; ``tokens`` may be fewer than a block holds, then it has no children."""

    parent: _Node | None
    tokens: tuple[int, ...]
    block: int
    children: list[_Node] = field(default_factory=list)
    lanes: int = 0
    """Lanes that use the block."""
    used: int = 0
    """When a lane last used it, in lanes begun; the least recent go first."""


@dataclass(eq=False, slots=True)
class PagedLane:
    """One sequence of tokens and its blocks: shared full ones, then one of its own that is being filled."""

    path: list[_Node]
    """Nodes of its full blocks, the root first."""
    tail: list[int] = field(default_factory=list)
    """Tokens in its last block."""
    block: int = -1
    """Its last block; -1 before it has one."""
    promised: int = 0
    """Blocks that it may still come to take."""
    length: int = 0
    space: str = ""

    def blocks(self) -> list[int]:
        """Return all its blocks, in order."""
        blocks = [node.block for node in self.path[1:]]
        if self.block >= 0:
            blocks.append(self.block)
        return blocks


class Pages:
    """The books of ``count`` blocks of ``size`` tokens each."""

    def __init__(self, count: int, size: int, copy: Copy) -> None:
        self.size = size
        self._copy = copy
        self._free = list(range(count - 1, -1, -1))
        self._promised = 0
        self._kept = 0
        """Blocks of nodes that no lane uses."""
        self._roots: dict[str, _Node] = {}
        self._clock = 0

    @property
    def room(self) -> int:
        """Blocks that a new lane could have, over what runs."""
        return len(self._free) + self._kept - self._promised

    def begin(self, tokens: Sequence[int], most: int, space: str) -> PagedLane | None:
        """Return a lane with as much of ``tokens``, but the last, as is remembered; None without room."""
        self._clock += 1
        path, rest = self._walk(tokens, space)
        needed = -(-most // self.size) - (len(path) - 1)
        unused = sum(node.lanes == 0 for node in path[1:])  # they are kept no more once this lane has them
        if needed > self.room - unused:
            return None
        lane = PagedLane(path, promised=needed, length=(len(path) - 1) * self.size, space=space)
        self._promised += needed
        for node in path[1:]:
            self._kept -= node.lanes == 0
            node.lanes += 1
            node.used = self._clock
        twin, common = _alike(path[-1].children, rest)
        if twin is not None:
            self._continue(lane, twin, common)
        return lane

    def append(self, lane: PagedLane, tokens: Sequence[int]) -> None:
        """Make room for tokens behind a lane's, and count them as computed."""
        done = 0
        while done < len(tokens):
            if lane.block < 0:
                lane.block = self._take(lane)
            part = tokens[done : done + self.size - len(lane.tail)]
            lane.tail += part
            lane.length += len(part)
            done += len(part)
            if len(lane.tail) == self.size:
                self._close(lane)

    def end(self, lane: PagedLane) -> None:
        """Take a lane back; its blocks stay until others need them."""
        if lane.block >= 0:
            if lane.tail:
                self._keep(lane)
            else:
                self._free.append(lane.block)
        for node in lane.path[1:]:
            node.lanes -= 1
            self._kept += node.lanes == 0
        self._promised -= lane.promised
        lane.promised = 0

    def forget(self, space: str) -> None:
        """Drop what no lane uses of a space, such as an adapter's that was replaced."""
        root = self._roots.get(space)
        for node in reversed(list(_below(root))) if root else []:
            if not node.lanes and not node.children:
                self._drop(node)

    def _walk(self, tokens: Sequence[int], space: str) -> tuple[list[_Node], Sequence[int]]:
        """Return the nodes whose blocks are the prompt's, and its tokens behind them, but the last."""
        node = self._roots.setdefault(space, _Node(None, (), -1))
        path = [node]
        usable = len(tokens) - 1
        at = 0
        while at + self.size <= usable:
            block = tuple(tokens[at : at + self.size])
            found = next((child for child in node.children if child.tokens == block), None)
            if found is None:
                break
            node = found
            path.append(node)
            at += self.size
        return path, tokens[at:usable]

    def _continue(self, lane: PagedLane, twin: _Node, common: int) -> None:
        """Begin the lane's own block with what a remembered one has in common with it."""
        if twin.lanes == 0 and not twin.children and common == len(twin.tokens):
            twin.parent.children.remove(twin)  # type: ignore[union-attr]  # no root has tokens
            self._kept -= 1
            lane.block = twin.block
            lane.promised -= 1
            self._promised -= 1
        elif self._free or self._kept > (twin.lanes == 0):
            twin.used = self._clock
            twin.lanes += 1  # not to be evicted for its own copy
            self._kept -= twin.lanes == 1
            lane.block = self._take(lane)
            twin.lanes -= 1
            self._kept += twin.lanes == 0
            self._copy(twin.block, lane.block)
        else:
            return  # no room to copy to
        lane.tail = list(twin.tokens[:common])
        lane.length += common

    def _take(self, lane: PagedLane) -> int:
        """Return a block for a lane that was promised one."""
        if lane.promised > 0:
            lane.promised -= 1
            self._promised -= 1
        if not self._free:
            self._evict()
        return self._free.pop()

    def _close(self, lane: PagedLane) -> None:
        """Put a lane's full block into the tree."""
        node = _Node(lane.path[-1], tuple(lane.tail), lane.block, lanes=1, used=self._clock)
        lane.path[-1].children.append(node)
        lane.path.append(node)
        lane.tail = []
        lane.block = -1

    def _keep(self, lane: PagedLane) -> None:
        """Put the beginning of a block into the tree, unless it is there."""
        parent = lane.path[-1]
        tokens = tuple(lane.tail)
        if any(child.tokens[: len(tokens)] == tokens for child in parent.children):
            self._free.append(lane.block)
        else:
            parent.children.append(_Node(parent, tokens, lane.block, used=self._clock))
            self._kept += 1
        lane.block = -1

    def _evict(self) -> None:
        """Free the block that was used least recently; a block goes after those behind it."""
        leaves = [
            node
            for root in self._roots.values()
            for node in _below(root)
            if not node.lanes and not node.children
        ]
        leaves.sort(key=lambda node: node.used)
        for node in leaves[: max(1, len(leaves) // 8)]:
            self._drop(node)

    def _drop(self, node: _Node) -> None:
        node.parent.children.remove(node)  # type: ignore[union-attr]  # no root is dropped
        self._free.append(node.block)
        self._kept -= 1


def _alike(children: Sequence[_Node], tokens: Sequence[int]) -> tuple[_Node | None, int]:
    """Return the child that begins most like ``tokens``, and how many tokens they share."""
    best, most = None, 0
    for child in children:
        common = 0
        for mine, theirs in zip(tokens, child.tokens, strict=False):
            if mine != theirs:
                break
            common += 1
        if common > most:
            best, most = child, common
    return best, most


def _below(node: _Node) -> Iterator[_Node]:
    waiting = list(node.children)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.children
