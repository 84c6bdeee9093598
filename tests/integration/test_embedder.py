"""The embedder on a real bus, with the real model: what its vectors are, and who waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from agents.embedder import Embedder, adapters, bulk
from agents.embedder.adapters import Adapter
from agents.embedder.bert import BertEmbedding
from agents.embedder.model import SentenceTransformerEmbedding, load
from agents.embedder.on_demand import OnDemand
from bus.settings import Settings
from schemas.chat import Answering
from schemas.embeddings import Embed, Vectors
from schemas.errors import KaraisError

MANY = tuple(f"passage {n}" for n in range(64))


@pytest.fixture
def settings(tmp_path: Path, models: Path) -> Settings:
    (tmp_path / "models").symlink_to(models)
    return Settings(home=tmp_path)


@asynccontextmanager
async def embedder(start_bus, settings):
    """Run an embedder on a real bus and yield a connection."""
    running = start_bus(Embedder)
    await running.provision()
    async with running.running(Embedder(settings)), running.connected() as bus:
        yield bus


async def bulk_process() -> psutil.Process:
    """Return the process that embeds passages, once it runs."""
    async with asyncio.timeout(20):
        while True:
            for child in psutil.Process().children():
                if bulk.MODULE in child.cmdline():
                    return child
            await asyncio.sleep(0.02)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def rows(reply: Vectors) -> np.ndarray:
    return np.frombuffer(reply.data, dtype="<f4").reshape(reply.rows, reply.dimensions)


async def test_vectors_come_raw_normalised_and_in_order(start_bus, settings):
    """Of queries and passages alike, many requests at a time."""
    async with embedder(start_bus, settings) as bus:
        texts = [f"text number {n} " + "word " * (n % 40) for n in range(60)]
        replies = await asyncio.gather(*(bus.call(Embed(texts=(t,)), timeout=60) for t in texts))
        together = await bus.call(Embed(texts=tuple(texts), purpose="query"), timeout=60)
        assert (together.rows, together.dimensions, together.model) == (60, 384, "all-minilm-l6-v2")
        queries, passages = rows(together), np.concatenate([rows(reply) for reply in replies])
        assert np.allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-5)
        assert np.allclose(queries, passages, atol=1e-5)


async def test_passages_stand_still_while_an_answer_runs_and_hold_up_no_query(start_bus, settings):
    """Their process is stopped, in the midst of a batch, until the brain says that it ended."""
    async with embedder(start_bus, settings) as bus:
        passages = [asyncio.create_task(bus.call(Embed(texts=MANY), timeout=120)) for _ in range(8)]
        process = await bulk_process()
        await bus.publish(Answering(worker="brain-1", running=1))
        await until(lambda: process.status() == psutil.STATUS_STOPPED)
        for number in range(20):
            await bus.call(Embed(texts=(f"question {number}",), purpose="query"), timeout=20)
        assert not any(task.done() for task in passages)
        await bus.publish(Answering(worker="brain-1", running=0))
        assert [reply.rows for reply in await asyncio.gather(*passages)] == [64] * 8
        assert process.nice() >= bulk.NICE


async def test_few_passages_need_no_process_of_their_own(start_bus, settings):
    """Such as a turn of a conversation; many do."""
    async with embedder(start_bus, settings) as bus:
        assert (await bus.call(Embed(texts=("a turn", "and its answer")), timeout=60)).rows == 2
        assert not any(bulk.MODULE in child.cmdline() for child in psutil.Process().children())
        assert (await bus.call(Embed(texts=MANY), timeout=120)).rows == 64
        assert await bulk_process()


async def test_passages_that_killed_their_process_fail_and_the_next_are_embedded(start_bus, settings):
    """Nobody waits for ever for vectors of a process that is gone."""
    async with embedder(start_bus, settings) as bus:
        task = asyncio.create_task(bus.call(Embed(texts=MANY), timeout=120))
        (await bulk_process()).kill()
        with pytest.raises(KaraisError, match="could not be embedded"):
            await task
        assert (await bus.call(Embed(texts=("a passage",)), timeout=120)).rows == 1


def test_the_light_model_and_the_library_agree(models):
    """Our few lines compute the vectors of sentence-transformers, for short, long and foreign texts."""
    folder = models / "all-minilm-l6-v2"
    assert isinstance(load(folder), BertEmbedding)
    texts = [
        "hello",
        "How does a durable consumer work?",
        "word " * 400,
        "\u6d88\u606f caf\u00e9",
        "x" * 3000,
        ".",
    ]
    vectors = []
    for model in (BertEmbedding(folder), SentenceTransformerEmbedding(folder)):
        items, sizes = model.prepare(texts)
        assert len(items) == len(sizes) == len(texts)
        vectors.append(np.frombuffer(model.embed(items), dtype="<f4").reshape(len(texts), model.dimensions))
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-5


async def test_statements_have_vectors_of_their_own(start_bus, settings):
    """By the model with the adapter that is shipped; what is searched for is not changed by it."""
    async with embedder(start_bus, settings) as bus:
        texts = ("Our cat is called Minka.", "How old do cats get?")
        before = rows(await bus.call(Embed(texts=texts, purpose="query"), timeout=60))
        stated = rows(await bus.call(Embed(texts=texts, purpose="statement"), timeout=60))
        after = rows(await bus.call(Embed(texts=texts, purpose="query"), timeout=60))
        assert np.allclose(np.linalg.norm(stated, axis=1), 1, atol=1e-5)
        assert (before == after).all()
        assert np.abs(stated - before).max() > 0.01


async def test_a_model_on_demand_is_let_go_when_idle_and_loaded_again():
    """Its memory is not held for the hours in which nobody states anything."""

    class Echo:
        dimensions = 1

        def prepare(self, texts):
            return texts, [1] * len(texts)

        def embed(self, items):
            return b"four" * len(items)

    loads = 0

    def load_echo():
        nonlocal loads
        loads += 1
        return Echo()

    with ThreadPoolExecutor(1) as thread:
        model = OnDemand(load_echo, thread, idle_seconds=0.05)
        assert await model.compute(["a", "b"]) == b"fourfour"
        assert model.loaded
        await until(lambda: not model.loaded)
        assert await model.compute(["c"]) == b"four"
        assert loads == 2
        model.close()


def test_an_adapter_is_added_to_the_matrices(models, tmp_path):
    """Written and read again, the model with it is the library's model with the products added."""
    folder = models / "all-minilm-l6-v2"
    drawn = np.random.default_rng(5)
    shapes = {"attention.self.value": (384, 384), "intermediate.dense": (384, 1536)}
    parts = {
        f"encoder.layer.3.{name}": (drawn.normal(0, 0.1, (4, inputs)), drawn.normal(0, 0.1, (outputs, 4)))
        for name, (inputs, outputs) in shapes.items()
    }
    Adapter("trial", folder.name, parts).save(tmp_path / "trial.npz")
    adapter = adapters.load("trial", tmp_path)
    theirs = SentenceTransformerEmbedding(folder)
    named = dict(theirs._model[0].model.named_parameters())
    for name, (down, up) in adapter.parts.items():
        product = up.astype(np.float32) @ down.astype(np.float32)
        named[f"{name}.weight"].data += torch.from_numpy(product)
    vectors = []
    for model in (load(folder, adapter), theirs, load(folder)):
        items, _ = model.prepare(["hello", "How does a durable consumer work?"])
        vectors.append(np.frombuffer(model.embed(items), dtype="<f4"))
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-5
    assert np.abs(vectors[0] - vectors[2]).max() > 0.01


def test_an_adapter_of_another_model_is_refused(models):
    """It says whose it is."""
    with pytest.raises(KaraisError, match="belongs to other, not to the model all-minilm-l6-v2"):
        load(models / "all-minilm-l6-v2", Adapter("statement", "other", {}))


def test_a_missing_or_broken_model_is_named(tmp_path):
    """With its folder and what to do."""
    with pytest.raises(KaraisError, match="models pull"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(KaraisError, match=str(tmp_path)):
        load(tmp_path)
