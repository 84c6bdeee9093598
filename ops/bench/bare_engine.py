"""The comparators of `karais bench chat`, in one process: the engine alone, and behind a bare WebSocket.

Started as ``python -m ops.bench.bare_engine`` with the settings in the
environment. It prints one line of JSON with its port, then serves

- ``/ws``: one JSON request a frame in, the engine's chunks out as they come;
- ``/run``: a list of requests, all generated at once in this process, no
  socket on their way; replies with tokens, seconds and first-token times.

The engine has the parameters that the brain gives it.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from agents.brain.engines import llamacpp_load
from agents.brain.engines import llamacpp_wire as wire
from bus import settings as settings_module
from schemas.chat import Sampling
from stores.weights import registry
from stores.weights.registry import Profile


def _generate(server: Any, request: dict[str, Any], on_chunk: Any) -> None:
    server.handle_chat_completions(json.dumps(request | {"stream": True}), on_chunk)


def _whole(wanted: dict[str, Any], profile: Profile) -> dict[str, Any]:
    """Return the engine's request for messages and a number of tokens, sampled as the brain does it."""
    sampling = Sampling(max_tokens=wanted["max_tokens"], temperature=0.0, ignore_end=True)
    return {"messages": wanted["messages"], **wire.sampling_fields(profile, sampling)}


def _run_all(server: Any, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """Generate every request at once, a thread each, and count."""
    tokens = [0] * len(requests)
    firsts = [0.0] * len(requests)
    begun = time.perf_counter()

    def one(number: int) -> None:
        def on_chunk(chunk: Any) -> bool:
            text = chunk if isinstance(chunk, str) else chunk.decode()
            if '"content":"' in text:
                tokens[number] += 1
                firsts[number] = firsts[number] or time.perf_counter() - begun
            return False

        _generate(server, requests[number], on_chunk)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"tokens": sum(tokens), "seconds": time.perf_counter() - begun, "first": firsts}


def _application(server: Any, profile: Profile) -> web.Application:
    async def chat(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False, decode_text=False)
        await socket.prepare(request)
        loop = asyncio.get_running_loop()
        async for frame in socket:
            chunks: asyncio.Queue[Any] = asyncio.Queue()

            def on_chunk(chunk: Any, put: Any = chunks.put_nowait) -> bool:
                loop.call_soon_threadsafe(put, chunk)
                return False

            wanted = _whole(json.loads(frame.data), profile)
            work = loop.run_in_executor(None, _generate, server, wanted, on_chunk)
            work.add_done_callback(partial(_end, chunks))
            while (chunk := await chunks.get()) is not None:
                data = chunk.encode() if isinstance(chunk, str) else chunk
                await socket.send_frame(data, WSMsgType.TEXT)
            await socket.send_frame(b'{"end":true}', WSMsgType.TEXT)
        return socket

    async def run(request: web.Request) -> web.Response:
        requests = [_whole(wanted, profile) for wanted in await request.json()]
        return web.json_response(await asyncio.to_thread(_run_all, server, requests))

    application = web.Application()
    application.add_routes([web.get("/ws", chat), web.post("/run", run)])
    return application


def _end(chunks: asyncio.Queue[Any], _: asyncio.Future[Any]) -> None:
    chunks.put_nowait(None)


async def _serve() -> None:
    settings = settings_module.load()
    model = registry.find(settings.models, settings.model)
    with tempfile.TemporaryDirectory(prefix="karais-bench-") as folder:
        server = llamacpp_load.load(settings, model, Path(folder) / "llama.sock").server
        runner = web.AppRunner(_application(server, model.manifest.profile))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        print(json.dumps({"port": port}), flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve())
