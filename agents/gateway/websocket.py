"""The WebSocket: chat with streamed answers that can be continued from any index.

Reading is limited by a token bucket, so one client cannot take the event loop
from others. Writing is limited by the socket: an answer's forwarding waits
while the client does not read, and a client that reads nothing for long fails
the heartbeat and is closed; it may come back and attach from its last index.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMsgType, web

from agents.gateway.asking import hand_over
from agents.gateway.codec import NO_BUS, decode_frame, encode, first_event, problem, ref_of
from bus.tasks import end
from schemas.base import Message
from schemas.chat import Ask, Cancel
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from schemas.web import Attach, Watch, Watching

if TYPE_CHECKING:
    from agents.gateway.live import Live
    from bus.connection import Bus
    from bus.reading import AnswerReader

log = logging.getLogger(__name__)

BURST = 100
"""Frames that a client may send at once."""
RATE = 20.0
"""Frames a second that it may send for long."""
PATIENCE = 40
"""Frames above the rate that are answered with ``busy`` before the socket is closed."""
MAX_ANSWERS = 16
"""Answers that run on one socket at a time."""
MAX_NOTICES = 256
"""Notices that wait for a client that does not read."""
HARD_FRAME_BYTES = 4 * 1024 * 1024
"""Frames above this are not even read; the socket is closed with 1009."""
HEARTBEAT = 20.0
"""Seconds between pings; half of it later an unanswered one closes the socket."""


class Bucket:
    """Tokens for frames, refilled at ``RATE`` up to ``BURST``."""

    def __init__(self, now: float) -> None:
        self._tokens = float(BURST)
        self._at = now

    def take(self, now: float) -> float:
        """Take a token; returns 0, or the seconds until there is one."""
        self._tokens = min(BURST, self._tokens + (now - self._at) * RATE)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / RATE
        self._tokens -= 1
        return 0.0


class Socket:
    """One client: its frames, the answers that it reads, what it watches."""

    def __init__(self, bus: Bus, live: Live) -> None:
        self._bus = bus
        self._live = live
        self._ws = web.WebSocketResponse(
            compress=False,
            heartbeat=HEARTBEAT,
            max_msg_size=HARD_FRAME_BYTES,
            timeout=2.0,
            decode_text=False,
        )
        self._answers: dict[str, asyncio.Task[None]] = {}
        self._notices: deque[bytes] = deque()
        self._notified = asyncio.Event()
        self._notifier: asyncio.Task[None] | None = None

    async def run(self, request: web.Request) -> web.WebSocketResponse:
        """Serve the client until it leaves."""
        await self._ws.prepare(request)
        try:
            await self._read()
        except ConnectionError:
            pass  # the client left while it was written to
        finally:
            self._live.leave(self)
            await end([*self._answers.values(), *filter(None, [self._notifier])])
        return self._ws

    async def close(self, code: int, message: str) -> None:
        """Close the socket with a reason; what waits is not sent."""
        await self._ws.close(code=code, message=message.encode())

    def notify(self, frame: bytes) -> None:
        """Take a notice to be sent when the client reads; too many that wait are dropped."""
        if len(self._notices) < MAX_NOTICES:
            self._notices.append(frame)
            self._notified.set()

    def forwards(self, answer: str) -> bool:
        """Tell whether the answer is being forwarded on this socket."""
        return answer in self._answers

    async def _read(self) -> None:
        clock = asyncio.get_running_loop().time
        bucket = Bucket(clock())
        patience = PATIENCE
        async for frame in self._ws:
            wait = bucket.take(clock())
            if wait == 0:
                await self._obey(frame.type, frame.data)
                continue
            patience -= 1
            if patience == 0:
                await self.close(WSCloseCode.POLICY_VIOLATION, "Too many messages: come back slower.")
                return
            await self._send(
                problem(
                    KaraisError(
                        f"More than {RATE:.0f} messages a second: this one was not read; send it later.",
                        code=Code.BUSY,
                    )
                )
            )
            await asyncio.sleep(wait)  # meanwhile TCP holds the client back

    async def _obey(self, kind: WSMsgType, data: Any) -> None:
        ref = ""
        try:
            if kind is not WSMsgType.TEXT:
                raise KaraisError("Frames must be JSON text; this one is binary.", code=Code.INVALID)
            try:
                frame = decode_frame(data)
            except KaraisError:
                ref = ref_of(data)
                raise
            match frame:
                case Ask(answer=answer):
                    ref = answer
                    self._start(answer, self._ask(frame))
                case Attach(answer=answer, after=after):
                    ref = answer
                    self._start(answer, self._attach(answer, after))
                case Cancel(answer=answer):
                    ref = answer
                    self._need_bus()
                    await self._bus.publish(frame)
                case Watch(conversation=conversation):
                    ref = conversation
                    self._live.watch(self, frame)
                    if self._notifier is None:
                        self._notifier = asyncio.create_task(self._send_notices())
                    await self._send(Watching(conversation=conversation))
        except KaraisError as error:
            await self._send(problem(error, ref))

    def _start(self, answer: str, forwarding: Coroutine[Any, Any, None]) -> None:
        """Forward an answer in a task of its own; asked for twice, the latest counts."""
        old = self._answers.pop(answer, None)
        if old is not None:
            old.cancel()
        if len(self._answers) >= MAX_ANSWERS:
            forwarding.close()
            raise KaraisError(
                f"{MAX_ANSWERS} answers run on this connection already: wait for one to end.", code=Code.BUSY
            )
        task = asyncio.create_task(self._guard(answer, forwarding))
        self._answers[answer] = task

    async def _guard(self, answer: str, forwarding: Coroutine[Any, Any, None]) -> None:
        try:
            await forwarding
        except KaraisError as error:
            await self._send(problem(error, answer))
        except ConnectionError:
            pass  # the client left; it can attach again
        except Exception:
            log.exception("Forwarding the answer %s failed", answer)
            await self._send(
                problem(KaraisError("The gateway failed; its log says why. Attach to go on."), answer)
            )
        finally:
            if self._answers.get(answer) is asyncio.current_task():
                del self._answers[answer]

    async def _ask(self, ask: Ask) -> None:
        self._need_bus()
        # The subscription goes out before the question, on the same connection, so no event
        # can be missed; of an answer that has not begun there is no history to look for.
        async with self._bus.answer_events(ask.answer, history=False) as events:
            await self._send(await hand_over(self._bus, ask))
            await self._forward(events)

    async def _attach(self, answer: str, after: int) -> None:
        self._need_bus()
        async with self._bus.answer_events(answer, after) as events:
            event = await first_event(events)
            await self._ws.send_frame(event.raw, WSMsgType.TEXT)
            await self._forward(events)

    async def _forward(self, events: AnswerReader) -> None:
        """Pass events on as the bytes they came as: this runs for every token of every user."""
        send = self._ws.send_frame
        async for event in events:
            await send(event.raw, WSMsgType.TEXT)

    async def _send(self, message: Message) -> None:
        await self._ws.send_frame(encode(message), WSMsgType.TEXT)

    async def _send_notices(self) -> None:
        try:
            while True:
                await self._notified.wait()
                self._notified.clear()
                while self._notices:
                    await self._ws.send_frame(self._notices.popleft(), WSMsgType.TEXT)
        except ConnectionError:
            return

    def _need_bus(self) -> None:
        if not self._bus.connected:
            raise Unavailable(NO_BUS)
