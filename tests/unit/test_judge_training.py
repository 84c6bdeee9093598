"""Training the judge: what is learned from labelled sentences serves the embedder and the extraction."""

from __future__ import annotations

from agents.embedder.model import load
from agents.memory.extraction.judging import Spoken
from ops.bench.judge_adapter import Example, train

STATED = [
    "My sister Anna lives in Graz.",
    "We have a dog called Bruno.",
    "I am allergic to walnuts.",
    "I work as a nurse in Leeds.",
    "Our car is a red Skoda.",
    "My birthday is on 4 May.",
]
ASKED = [
    "How long do I boil an egg?",
    "Translate this into French, please.",
    "What is the capital of Peru?",
    "Thanks, that helps a lot!",
    "Write me a poem about rain.",
    "Can you make it shorter?",
]


def test_what_was_trained_tells_statements_from_questions(models):
    """By the adapter in the embedder's own model and the weights in the judge, on sentences it never saw."""
    found = [
        Example("a", Spoken(text, text), states)
        for texts, states in ((STATED, True), (ASKED, False))
        for text in texts
    ]
    folder = models / "all-minilm-l6-v2"
    adapter, weights = train(found * 4, folder, epochs=4, show=lambda said: None)
    assert (adapter.purpose, adapter.model, weights.model) == ("statement", folder.name, folder.name)
    new = ["My brother Paul has a cat.", "How do I remove a stain?"]
    model = load(folder, adapter)
    items, _ = model.prepare(new)
    data = memoryview(model.embed(items)).cast("f").tolist()
    width = model.dimensions
    vectors = {text: data[at * width : (at + 1) * width] for at, text in enumerate(new)}
    judge = weights.judge(vectors)
    stated, asked = (judge(Spoken(text, text)) for text in new)
    assert stated > 0 > asked
