"""The process that embeds passages: ``agents.embedder.bulk`` starts it and says why it is one."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agents.common.child import serve_parent
from agents.embedder import computing, model
from agents.embedder.bulk import NICE, BulkEmbedded, EmbedBulk, cores


class _Hand:
    """Carries orders out, in the child process."""

    def __init__(self) -> None:
        self._models: dict[str, model.EmbeddingModel] = {}
        self._threads: ThreadPoolExecutor | None = None

    def carry_out(self, order: EmbedBulk) -> BulkEmbedded:
        import torch

        if self._threads is None:
            torch.set_num_threads(1)
            self._threads = ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,))
        if order.folder not in self._models:
            self._models = {order.folder: model.load(Path(order.folder))}
        data = computing.compute(self._models[order.folder], order.texts, self._threads)
        return BulkEmbedded(data=data)


def main() -> None:
    """Run the child process."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    serve_parent(EmbedBulk, _Hand().carry_out)


if __name__ == "__main__":
    main()
