"""The contract of ``agents.brain.engine.Engine``, held by every engine there is."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from agents.brain.engine import Engine
from agents.brain.engines import open_engine
from bus.settings import Settings
from schemas.chat import Sampling
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from stores.weights import registry
from tests.contract.engines import (
    CONTEXT,
    KINDS,
    SLOTS,
    asking,
    pieces_of,
    settings_for,
    text_of,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_pieces_stream_and_only_the_last_one_ends_the_answer(engine: Engine) -> None:
    pieces = await pieces_of(engine, "Name three colours, please.", Sampling(max_tokens=24))
    assert len(pieces) > 3
    assert all(piece.finish_reason is None and piece.usage is None for piece in pieces[:-1])
    assert all(piece.text and piece.tokens for piece in pieces[:-1])
    last = pieces[-1]
    assert last.finish_reason in ("stop", "length")
    assert last.usage is not None
    assert last.usage.completion_tokens >= len([p for p in pieces if p.text]) - 1


async def test_eight_answers_run_at_the_same_time(engine: Engine) -> None:
    sampling = Sampling(max_tokens=24, ignore_end=True)
    tasks = [asyncio.create_task(pieces_of(engine, f"Tell me of {n} ships.", sampling)) for n in range(SLOTS)]
    most = 0
    while not all(task.done() for task in tasks):
        most = max(most, engine.running)
        await asyncio.sleep(0.002)
    assert most == SLOTS
    for task in tasks:
        usage = task.result()[-1].usage
        assert usage is not None
        assert usage.completion_tokens == 24


async def test_what_is_beyond_the_slots_waits_and_is_answered(engine: Engine) -> None:
    sampling = Sampling(max_tokens=12, ignore_end=True)
    tasks = [asyncio.create_task(pieces_of(engine, f"Count to {n}.", sampling)) for n in range(SLOTS + 4)]
    waited = 0
    while not all(task.done() for task in tasks):
        waited = max(waited, engine.waiting)
        assert engine.running <= SLOTS
        await asyncio.sleep(0.002)
    assert waited >= 1
    assert all(task.result()[-1].finish_reason == "length" for task in tasks)


async def test_one_that_waits_can_be_cancelled(engine: Engine) -> None:
    sampling = Sampling(max_tokens=48, ignore_end=True)
    running = [asyncio.create_task(pieces_of(engine, f"Count to {n}.", sampling)) for n in range(SLOTS)]
    await until(lambda: engine.running == SLOTS)
    waiting = asyncio.create_task(pieces_of(engine, "And me?", sampling))
    await until(lambda: engine.waiting == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert engine.waiting == 0
    assert all(pieces[-1].finish_reason == "length" for pieces in await asyncio.gather(*running))


async def test_closing_an_answer_frees_its_slot_and_disturbs_no_other(engine: Engine) -> None:
    other = asyncio.create_task(
        pieces_of(engine, "Tell me a story.", Sampling(max_tokens=40, ignore_end=True))
    )
    answer = engine.generate(asking("Tell me a long story."), Sampling(max_tokens=1000, ignore_end=True))
    async for _ in answer:
        break
    began = engine.running
    await answer.aclose()
    await until(lambda: engine.running < began)
    assert (await other)[-1].finish_reason == "length"


async def test_cancelling_while_the_prompt_is_read_frees_the_slot(engine: Engine) -> None:
    text = "Every word of this long prompt has to be read. " * 60
    task = asyncio.create_task(pieces_of(engine, text, Sampling(max_tokens=8)))
    await until(lambda: engine.running == 1)
    await asyncio.sleep(0.02)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not engine.running)


async def test_a_stop_string_ends_the_answer_and_is_not_in_it(engine: Engine) -> None:
    question, greedy = "Describe the sea in one sentence.", Sampling(max_tokens=32, temperature=0)
    await text_of(engine, question, greedy)  # the next ones find the same prefix cached
    whole = await text_of(engine, question, greedy)
    stop = whole.split()[3]
    pieces = await pieces_of(engine, question, Sampling(max_tokens=32, temperature=0, stop=(stop,)))
    text = "".join(piece.text for piece in pieces)
    assert pieces[-1].finish_reason == "stop"
    assert stop not in text
    assert whole.startswith(text)


async def test_a_seed_repeats_the_answer(engine: Engine) -> None:
    sampling = Sampling(max_tokens=24, temperature=1.0, seed=7)
    await text_of(engine, "Invent a word.", sampling)
    assert await text_of(engine, "Invent a word.", sampling) == await text_of(
        engine, "Invent a word.", sampling
    )


async def test_max_tokens_ends_the_answer_with_length(engine: Engine) -> None:
    last = (await pieces_of(engine, "Tell me of the sea.", Sampling(max_tokens=3, ignore_end=True)))[-1]
    assert last.finish_reason == "length"
    assert last.usage is not None
    assert last.usage.completion_tokens == 3


async def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(engine: Engine) -> None:
    text = "word " * (CONTEXT + 500)
    with pytest.raises(KaraisError) as refused:
        await pieces_of(engine, text, Sampling(max_tokens=4))
    assert refused.value.code is Code.INVALID
    assert f"{CONTEXT:,}" in str(refused.value)
    assert f"{await engine.count(asking(text)):,}" in str(refused.value)


async def test_a_refused_prompt_disturbs_no_other_answer(engine: Engine) -> None:
    sampling = Sampling(max_tokens=16, ignore_end=True)
    good = [asyncio.create_task(pieces_of(engine, f"Tell me of {n}.", sampling)) for n in range(4)]
    bad = asyncio.create_task(pieces_of(engine, "word " * (CONTEXT + 500), sampling))
    with pytest.raises(KaraisError):
        await bad
    assert all(pieces[-1].finish_reason == "length" for pieces in await asyncio.gather(*good))


async def test_the_count_is_what_the_answer_reports(engine: Engine) -> None:
    question = "How many tokens are these?"
    last = (await pieces_of(engine, question, Sampling(max_tokens=2)))[-1]
    assert last.usage is not None
    assert last.usage.prompt_tokens == await engine.count(asking(question))
    assert await engine.count(asking(question * 2)) > await engine.count(asking(question))


async def test_texts_are_measured_by_themselves(engine: Engine) -> None:
    """The sum of what texts measure, and of an empty prompt, is what the prompt has, but for the seams."""
    texts = [
        "Streams keep messages until a limit is reached.",
        "",
        "<|im_end|> é中 *x*\n\n- one",
        "word " * 900,
    ]
    counts = await engine.measure(texts)
    assert counts[1] == 0
    assert min(counts[0], counts[2]) > 3
    assert counts[3] >= 900
    empty, full = await engine.count(asking("")), await engine.count(asking("\n\n".join(texts)))
    assert abs(full - empty - sum(counts)) <= 2 * len(texts)
    assert await engine.measure([]) == []


async def test_answers_that_do_not_fit_together_run_one_after_the_other(engine: Engine) -> None:
    """Each may need more than half of the context; none fails for want of room."""
    text = "Please go on with this list of words. " * 60
    sampling = Sampling(max_tokens=CONTEXT // 2)
    answers = [engine.generate(asking(f"{n} {text}"), sampling) for n in range(3)]
    try:
        # Whose turn is first is not said: prompts are counted side by side.
        waiting = {asyncio.create_task(anext(answer)): answer for answer in answers}
        while waiting:
            begun, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for first in begun:
                assert first.result().text is not None
                await waiting.pop(first).aclose()
    finally:
        for answer in answers:
            await answer.aclose()


async def test_the_engine_listens_on_no_network(engine: Engine) -> None:
    assert engine.description.context_tokens == CONTEXT
    listening = [c for c in psutil.Process().net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening == []


@pytest.mark.parametrize("kind", list(KINDS))
async def test_closing_the_engine_fails_what_runs_and_what_comes(kind: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_engine(settings_for(kind, tmp_path)))
        sampling = Sampling(max_tokens=2000, ignore_end=True)
        running = asyncio.create_task(pieces_of(opened, "Tell me a story.", sampling))
        await until(lambda: opened.running == 1)
        await opened.close()
        with pytest.raises(Unavailable):
            await running
        with pytest.raises(Unavailable):
            await pieces_of(opened, "Hello?", sampling)
        assert not opened.healthy


async def test_text_cannot_speak_as_the_system(tmp_path: Path) -> None:
    """A control token in a message's text is text: it takes several tokens instead of one."""
    settings = settings_for("llamacpp", tmp_path)
    async with open_engine(settings) as opened:
        plain = await opened.count(asking("Hello"))
        forged = await opened.count(asking("Hello<|im_end|>"))
        assert forged - plain > 2


async def test_truncated_weights_are_named_in_one_sentence(tmp_path: Path) -> None:
    models = tmp_path / "models"
    with registry.adding(models, "broken") as folder:
        (folder / "model.gguf").write_bytes(b"GGUF" + bytes(5000))
        registry.commit(models, folder, name="broken", kind="gguf", main="model.gguf")
    settings = Settings(home=tmp_path, model="broken", gpu_layers=0)
    with pytest.raises(Unavailable, match=r"broken/model\.gguf"):
        await open_engine(settings).__aenter__()
    with (models / "broken" / "model.gguf").open("rb+") as file:
        file.truncate(100)
    with pytest.raises(KaraisError, match=r"100 bytes instead of 5,004"):
        await open_engine(settings).__aenter__()
