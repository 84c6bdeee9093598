"""Commands that ask: ask and chat."""

from __future__ import annotations

import secrets
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.commands import moments
from ops.commands.common import Json, Key, ProjectName, Url, client_of, place, print_json

if TYPE_CHECKING:
    from ops.client import Client
    from schemas.chat import Ask, Done
    from schemas.documents import Passage

Temporary = Annotated[bool, typer.Option("--temporary", help="Neither log nor remember it.")]

HELP = """/new       begin a new conversation
/sources   show the passages of the last answer, /sources 2 one of them whole
/quit      leave (as Ctrl-D does); Ctrl-C stops an answer"""

GROUNDINGS = {
    "nothing_found": "nothing in your files and memory fits this question",
    "unsupported": "passages were read, but none supports this answer: /sources in a chat shows them",
    "not_searched": "your files and memory could not be searched just now",
}
"""What is said of an answer that no passage supports."""


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(ask)
    app.command()(chat)


@dataclass
class Reply:
    """An answer as it comes in."""

    ask: Ask
    text: list[str] = field(default_factory=list)
    passages: tuple[Passage, ...] = ()
    done: Done | None = None

    @property
    def cited(self) -> list[tuple[int, Passage]]:
        """The passages that support the answer, with their numbers."""
        cited = set(self.done.cited) if self.done else set()
        return [pair for pair in enumerate(self.passages, start=1) if pair[0] in cited]


def ask(
    context: typer.Context,
    question: Annotated[
        str, typer.Argument(help="What to ask; - or nothing reads it from the standard input.")
    ] = "",
    retrieve: Annotated[bool, typer.Option(help="Look into the storage for passages.")] = True,
    conversation: Annotated[str, typer.Option(help="Conversation to continue.")] = "",
    project: ProjectName = "home",
    temporary: Temporary = False,
    as_of: Annotated[str, typer.Option(help=f"Answer from what held then: {moments.EXAMPLE}.")] = "",
    max_tokens: Annotated[int, typer.Option(help="Tokens after which the answer ends.")] = 512,
    explain: Annotated[bool, typer.Option("--explain", help="Show what went into the prompt.")] = False,
    url: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Ask a question; prints the answer as it comes, then its sources."""
    import asyncio

    from schemas.chat import Sampling

    if question == "-" or (not question and not sys.stdin.isatty()):
        question = sys.stdin.read()
    if not question.strip():
        raise typer.BadParameter("the question is empty", param_hint="QUESTION")
    asked = _asked(
        question.strip(),
        conversation,
        project=project,
        retrieve=retrieve,
        temporary=temporary,
        as_of=moments.moment_of(as_of, "--as-of", end_of_day=True),
        sampling=Sampling(max_tokens=max_tokens),
        explain=explain,
    )

    async def run() -> Reply:
        async with client_of(context, url, key) as client:
            return await _answer(client, asked, echo=not as_json)

    reply = asyncio.run(run())
    if as_json:
        assert reply.done
        print_json(
            {
                "answer": asked.answer,
                "conversation": asked.conversation,
                "text": "".join(reply.text),
                "finish_reason": reply.done.finish_reason,
                "sources": reply.passages,
                "cited": reply.done.cited,
                "citations": reply.done.citations,
                "grounding": reply.done.grounding,
                "usage": reply.done.usage,
                **({"explained": reply.done.explained} if explain else {}),
            }
        )
    else:
        _print_sources(reply)
        if reply.done and reply.done.explained:
            from ops.commands.explaining import print_explanation

            print_explanation(reply.done.explained)
    if reply.done and reply.done.finish_reason == "cancelled":
        raise typer.Exit(130)


def chat(
    context: typer.Context,
    conversation: Annotated[str, typer.Option(help="Conversation to continue.")] = "",
    project: ProjectName = "home",
    temporary: Temporary = False,
    retrieve: Annotated[bool, typer.Option(help="Look into the storage for passages.")] = True,
    url: Url = "",
    key: Key = "",
) -> None:
    """Talk in the terminal; /help lists what can be typed."""
    import asyncio

    from schemas.errors import KaraisError

    with asyncio.Runner() as runner:
        client = client_of(context, url, key)
        runner.run(client.__aenter__())
        try:
            conversation = conversation or secrets.token_hex(16)
            if temporary:
                typer.echo("A temporary chat: not logged, not remembered, gone when you leave.", err=True)
            else:
                runner.run(_show_history(client, conversation, project))
            reply: Reply | None = None
            while (line := _prompt()) is not None:
                match line.split():
                    case []:
                        pass
                    case ["/quit" | "/exit" | "/q"]:
                        break
                    case ["/help" | "/?"]:
                        typer.echo(HELP)
                    case ["/new"]:
                        conversation, reply = secrets.token_hex(16), None
                        typer.echo("A new conversation.")
                    case ["/sources", *numbers]:
                        _print_passages(reply, numbers)
                    case [command, *_] if command.startswith("/"):
                        typer.echo(f"There is no {command}.\n{HELP}")
                    case _:
                        asked = _asked(
                            line.strip(),
                            conversation,
                            project=project,
                            retrieve=retrieve,
                            temporary=temporary,
                        )
                        try:
                            reply = runner.run(_answer(client, asked, echo=True))
                            _print_sources(reply)
                        except KaraisError as error:
                            typer.echo(f"\nkarais: {error}", err=True)
        finally:
            runner.run(client.__aexit__())


def _asked(text: str, conversation: str, **more: Any) -> Ask:
    import msgspec

    from schemas.chat import Ask
    from schemas.errors import KaraisError
    from schemas.failure import Code

    ask = Ask(
        answer=secrets.token_hex(16),
        conversation=conversation or secrets.token_hex(16),
        text=text,
        **more,
    )
    try:
        return msgspec.convert(msgspec.to_builtins(ask), Ask)
    except msgspec.ValidationError as error:
        raise KaraisError(f"The question cannot be asked: {error}.", code=Code.INVALID) from None


async def _answer(client: Client, asked: Ask, *, echo: bool) -> Reply:
    """Read one answer; Ctrl-C stops it, and twice leaves. Raises KaraisError when it fails."""
    import asyncio

    from schemas.chat import Delta, Done, Failed, Sources
    from schemas.errors import Refused

    reply = Reply(asked)
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    stops: set[asyncio.Task[None]] = set()

    def interrupt() -> None:
        if stops and task:
            task.cancel()
        stops.add(loop.create_task(client.cancel(asked.answer)))

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        async for event in client.ask(asked):
            match event:
                case Sources(passages=passages):
                    reply.passages = passages
                case Delta(text=text):
                    reply.text.append(text)
                    if echo:
                        typer.echo(text, nl=False)
                        sys.stdout.flush()
                case Done():
                    reply.done = event
                case Failed(code=code, message=message):
                    if echo and reply.text:
                        typer.echo("")
                    raise Refused(message, code=code)
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    if echo:
        typer.echo("")
        if reply.done and reply.done.finish_reason == "cancelled":
            typer.echo("(stopped)", err=True)
        elif reply.done and reply.done.finish_reason == "length":
            typer.echo("(cut off: the answer reached its longest)", err=True)
    return reply


def _print_sources(reply: Reply) -> None:
    if reply.cited:
        typer.echo("\nSources:")
        for number, passage in reply.cited:
            typer.echo(f"  [{number}] {place(passage)}")
    elif reply.done and (note := GROUNDINGS.get(reply.done.grounding)):
        typer.echo(f"\n({note})", err=True)


def _print_passages(reply: Reply | None, numbers: list[str]) -> None:
    if reply is None or not reply.passages:
        typer.echo("The last answer has no sources.")
        return
    wanted = {int(number) for number in numbers if number.isdigit()}
    for number, passage in enumerate(reply.passages, start=1):
        if number in wanted:
            typer.echo(f"[{number}] {place(passage)}\n{passage.text}\n")
        elif not wanted:
            text = " ".join(passage.text.split())
            typer.echo(f"  [{number}] {place(passage)}: {text[:100]}{'…' if len(text) > 100 else ''}")


async def _show_history(client: Client, conversation: str, project: str) -> None:
    """Print what was said before in a conversation that goes on."""
    from schemas.errors import Refused
    from schemas.failure import Code

    try:
        history = await client.conversation(conversation, project=project)
    except Refused as error:
        if error.code is not Code.NOT_FOUND:
            raise
        return
    for turn in history.turns:
        typer.echo(f"> {turn.text}" if turn.role == "user" else f"{turn.text}\n")


def _prompt() -> str | None:
    """Return a line that was typed, None at the end of input."""
    import readline  # noqa: F401 - gives input() its line editing and its history

    while True:
        try:
            return input("> " if sys.stdin.isatty() else "")
        except EOFError:
            typer.echo("")
            return None
        except KeyboardInterrupt:
            typer.echo("\n(/quit or Ctrl-D leaves)")
