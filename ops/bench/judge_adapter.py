"""Training the adapter by which the embedding model judges what is said, with the judge's own weights.

The encoder gets low-rank additions (LoRA by ``peft``) to all its matrices; its
vector, of length 1, and the signs of the turn go through one logistic unit.
Both learn together, from labelled sentences.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.embedder.adapters import Adapter
from agents.memory.extraction import judging
from agents.memory.extraction.judging import Spoken, Weights

RANK = 8
EPOCHS = 2
BATCH = 32
RATE = 1e-3
"""Learning rate of the adapter at its height."""
UNIT_RATE = 1e-2
"""Learning rate of the logistic unit."""
WARM_UP = 0.06
"""Share of the steps in which the rates rise; they fall to nothing in the others."""
SCALE = 6.0
"""Of the vector before the unit: its numbers are small."""
TOKENS = 128
SEED = 0


@dataclass(frozen=True)
class Example:
    """A sentence, and whether it states a lasting fact of its owner."""

    author: str
    spoken: Spoken
    states: bool


def train(
    found: Sequence[Example], folder: Path, epochs: int = EPOCHS, show: Callable[[str], None] = print
) -> tuple[Adapter, Weights]:
    """Return what was fitted to these examples on the model in ``folder``; minutes.

    The same examples give the same on the same machine with as many threads.
    """
    import torch

    torch.manual_seed(SEED)
    drawn = random.Random(SEED)  # noqa: S311
    net = _Net(folder)
    adapter = [parameter for parameter in net.encoder.parameters() if parameter.requires_grad]
    unit = list(net.unit.parameters())
    optimiser = torch.optim.AdamW([{"params": adapter}, {"params": unit}], weight_decay=0.01)
    steps = epochs * -(-len(found) // BATCH)
    step = 0
    for epoch in range(epochs):
        total = 0.0
        for batch in _batches(found, drawn):
            height = min((step + 1) / (steps * WARM_UP), (steps - step) / (steps * (1 - WARM_UP)))
            for group, rate in zip(optimiser.param_groups, (RATE, UNIT_RATE), strict=True):
                group["lr"] = rate * min(height, 1.0)
            expected = torch.tensor([float(one.states) for one in batch])
            odds = net([one.spoken for one in batch])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(odds, expected)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_([*adapter, *unit], 1.0)
            optimiser.step()
            total += float(loss.detach()) * len(batch)
            step += 1
        show(f"  epoch {epoch + 1} of {epochs}: loss {total / len(found):.4f}")
    return net.fitted(folder.name)


def _batches(found: Sequence[Example], drawn: random.Random) -> list[list[Example]]:
    """Return the examples in batches of alike lengths, in random order."""
    order = sorted(found, key=lambda one: len(one.spoken.text) + drawn.random() * 30)
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    drawn.shuffle(batches)
    return batches


class _Net:
    """The encoder with its adapter, and the unit."""

    def __init__(self, folder: Path) -> None:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModel, AutoTokenizer

        base = AutoModel.from_pretrained(str(folder), local_files_only=True)
        changed = ["query", "key", "value", "dense"]
        # Its pooler is not used, so it is none of the matrices that change.
        config = LoraConfig(
            r=RANK,
            lora_alpha=RANK,
            lora_dropout=0.05,
            target_modules=changed,
            exclude_modules=["pooler.dense"],
        )
        self.encoder: Any = get_peft_model(base, config)
        self.encoder.train()
        self._dimensions = int(base.config.hidden_size)
        self.unit = torch.nn.Linear(self._dimensions + len(judging.signs(Spoken("", ""))), 1)
        torch.nn.init.zeros_(self.unit.weight)
        torch.nn.init.zeros_(self.unit.bias)
        self._tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)

    def __call__(self, spoken: Sequence[Spoken]) -> Any:
        """Return the log odds."""
        import torch

        texts = [one.text for one in spoken]
        batch = self._tokenizer(texts, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
        mask = batch["attention_mask"]
        states = self.encoder(input_ids=batch["input_ids"], attention_mask=mask).last_hidden_state
        means = (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        vectors = torch.nn.functional.normalize(means, dim=1) * SCALE
        seen = torch.tensor([judging.signs(one) for one in spoken])
        return self.unit(torch.cat([vectors, seen], dim=1)).squeeze(1)

    def fitted(self, model: str) -> tuple[Adapter, Weights]:
        """Return what was learned."""
        sides: dict[str, dict[str, Any]] = {}
        for name, tensor in self.encoder.state_dict().items():
            matrix, found, rest = name.removeprefix("base_model.model.").partition(".lora_")
            if found:
                sides.setdefault(matrix, {})[rest[0]] = tensor.detach().numpy()
        adapter = Adapter("statement", model, {name: (side["A"], side["B"]) for name, side in sides.items()})
        weights = self.unit.weight.detach()[0].tolist()
        dense = [SCALE * weight for weight in weights[: self._dimensions]]
        return adapter, Weights(model, float(self.unit.bias.detach()), dense, weights[self._dimensions :])
