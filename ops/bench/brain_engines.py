"""The comparators of `karais bench brain`, each in a process of its own.

Started as ``python -m ops.bench.brain_engines KIND FILE MEGABYTES``, with the
weights' GGUF file and what keys and values may take in memory. It prints a
line of JSON when it is ready (``url``, where it serves HTTP), then answers
each line on its input, ``{"questions": [...], "tokens": n}``, with what came
of generating all answers at once: ``{"tokens", "seconds"}``.

- ``genai``         openvino-genai's own continuous batching
- ``stepping``      the engine of KARAIS, without gateway and bus
- ``xllamacpp``     llama.cpp in this process; serves HTTP as well
- ``transformers``  ``generate_batch``
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SLOTS = 8
SYSTEM = "You are KARAIS, a helpful AI assistant. You answer questions briefly and correctly."

_KEPT: list[Any] = []
"""What must not be given up while the process runs."""

Run = Callable[[list[str], int], int]
"""Generates answers of so many tokens at once; returns how many tokens came."""


def messages_of(question: str) -> list[dict[str, str]]:
    """Return the prompt of a question, the same for everybody."""
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


def tokens_in(megabytes: int, header: Any, bytes_a_value: float) -> int:
    """Return the tokens whose keys and values have room in so many megabytes (10^6 bytes)."""
    meta = header.metadata
    kind = meta["general.architecture"]
    heads = meta.get(f"{kind}.attention.head_count_kv", meta[f"{kind}.attention.head_count"])
    size = meta[f"{kind}.embedding_length"] // meta[f"{kind}.attention.head_count"]
    token = 2 * meta[f"{kind}.block_count"] * heads * size * bytes_a_value
    return int(megabytes * 1e6 / token)


def _genai(file: Path, megabytes: int) -> tuple[Run, dict[str, Any]]:
    import openvino_genai as genai

    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = max(1, round(megabytes / 1000))
    scheduler.enable_prefix_caching = True
    scheduler.max_num_batched_tokens = 256
    pipeline = genai.ContinuousBatchingPipeline(str(file), scheduler, "CPU")
    tokenizer = pipeline.get_tokenizer()
    number = 0

    def run(questions: list[str], tokens: int) -> int:
        nonlocal number
        config = genai.GenerationConfig()
        config.max_new_tokens = tokens
        config.ignore_eos = True
        config.apply_chat_template = False
        handles = []
        for question in questions:
            text = tokenizer.apply_chat_template(messages_of(question), add_generation_prompt=True)
            ids = tokenizer.encode(text, add_special_tokens=False).input_ids
            number += 1
            handles.append(pipeline.add_request(number, ids, config))
        while pipeline.has_non_finished_requests():
            pipeline.step()
        return sum(len(output.generated_ids) for handle in handles for output in handle.read_all())

    return run, {}


def _stepping(file: Path, megabytes: int) -> tuple[Run, dict[str, Any]]:
    from agents.brain.engine import ChatMessage
    from agents.brain.engines import open_engine
    from bus.settings import Settings
    from schemas.chat import Sampling
    from stores.weights.gguf_header import read_header

    context = tokens_in(megabytes, read_header(file), 1.125)
    home = file.parents[2]
    settings = Settings(home=home, engine="openvino", model=file.parent.name, context=context, slots=SLOTS)
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    opened = open_engine(settings)
    engine = asyncio.run_coroutine_threadsafe(opened.__aenter__(), loop).result()

    async def one(question: str, tokens: int) -> int:
        sampling = Sampling(max_tokens=tokens, temperature=0.0, ignore_end=True)
        messages = [ChatMessage(m["role"], m["content"]) for m in messages_of(question)]  # type: ignore[arg-type]  # roles
        async for piece in engine.generate(messages, sampling):
            usage = piece.usage
        assert usage
        return usage.completion_tokens

    async def everyone(questions: list[str], tokens: int) -> int:
        return sum(await asyncio.gather(*(one(question, tokens) for question in questions)))

    def run(questions: list[str], tokens: int) -> int:
        return asyncio.run_coroutine_threadsafe(everyone(questions, tokens), loop).result()

    _KEPT.append(opened)
    return run, {}


def _xllamacpp(file: Path, megabytes: int) -> tuple[Run, dict[str, Any]]:
    import xllamacpp

    from agents.brain.engines.llamacpp_load import physical_cores
    from stores.weights.gguf_header import read_header

    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.verbosity = -1
    params.n_parallel = SLOTS
    params.kv_unified = True
    # Of the memory, half for the conversations that run and half for those that wait for their next turn.
    params.n_ctx = min(8192, tokens_in(megabytes // 2, read_header(file), 2))
    params.cache_ram_mib = megabytes // 2
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = physical_cores()
    params.n_gpu_layers = 0
    params.fit_params = False
    params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    server = xllamacpp.Server(params)

    def run(questions: list[str], tokens: int) -> int:
        counts = [0] * len(questions)

        def one(number: int) -> None:
            request = {
                "messages": messages_of(questions[number]), "max_tokens": tokens, "temperature": 0.0,
                "ignore_eos": True, "stream": True,
            }  # fmt: skip

            def on_chunk(chunk: Any) -> bool:
                text = chunk if isinstance(chunk, str) else chunk.decode()
                counts[number] += '"content":"' in text
                return False

            server.handle_chat_completions(json.dumps(request), on_chunk)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(len(questions))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts)

    address = server.listening_address
    return run, {"url": address if str(address).startswith("http") else f"http://{address}"}


def _transformers(file: Path, _: int) -> tuple[Run, dict[str, Any]]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    tokenizer: Any = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model: Any = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32, attn_implementation="sdpa"
    )
    model.eval()

    def run(questions: list[str], tokens: int) -> int:
        prompts = [
            tokenizer.apply_chat_template(messages_of(question), add_generation_prompt=True)["input_ids"]
            for question in questions
        ]
        made: Any = GenerationConfig
        config = made(max_new_tokens=tokens, do_sample=False, eos_token_id=-1, pad_token_id=0)
        outputs = model.generate_batch(prompts, generation_config=config)
        return sum(len(output.generated_tokens) for output in outputs.values())

    return run, {}


KINDS = {"genai": _genai, "stepping": _stepping, "xllamacpp": _xllamacpp, "transformers": _transformers}


def _serve(kind: str, file: Path, megabytes: int) -> None:
    # What the libraries print goes to the log: the lines of JSON stay alone.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    run, more = KINDS[kind](file, megabytes)
    print(json.dumps({"ready": True, **more}), file=replies)
    for line in sys.stdin:
        wanted = json.loads(line)
        begun = time.perf_counter()
        tokens = run(wanted["questions"], wanted["tokens"])
        print(json.dumps({"tokens": tokens, "seconds": time.perf_counter() - begun}), file=replies)


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
