"""The HTTP client for servers of tools: bounded answers, no proxy and no compression in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import httpx2

from agents.tools.servers.lines import MAX_MESSAGE_BYTES

TIMEOUT = httpx2.Timeout(30.0, read=300.0)


class TooLargeError(httpx2.StreamError):
    """The server answers with more than is taken."""


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > self._limit:
                raise TooLargeError(f"it answered with more than the {self._limit:,} bytes that are taken")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Transport(httpx2.AsyncBaseTransport):
    def __init__(self) -> None:
        self._inner = httpx2.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise httpx2.ProtocolError("it compresses its answer, which was not asked for")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        stream: httpx2.AsyncByteStream = response.stream
        if request.method != "GET":  # a stream of notices goes on for ever; each of its events is bounded
            stream = _Bounded(stream, MAX_MESSAGE_BYTES)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


def bounded_client(headers: Mapping[str, str]) -> httpx2.AsyncClient:
    """Return a client, an async context manager, that sends these headers with every request."""
    return httpx2.AsyncClient(
        headers={**headers, "Accept-Encoding": "identity"},
        timeout=TIMEOUT,
        transport=_Transport(),
        trust_env=False,
        follow_redirects=False,
    )
