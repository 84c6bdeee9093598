"""One message of every type that crosses the bus, with every field set."""

from schemas import (
    chat,
    completion,
    documents,
    embeddings,
    failure,
    forgetting,
    health,
    memory,
    projects,
    tools,
)

PASSAGE = documents.Passage(
    id="0f-3", path="notes/boiler.md", text="The boiler was serviced in May.", first_line=3, last_line=4,
    page=1, heading="House > Boiler", score=0.75, kind="turn", project="boat", at=1.5,
)  # fmt: skip
USAGE = chat.Usage(prompt_tokens=12, cached_tokens=8, completion_tokens=5, seconds_to_first_token=0.25)
SAMPLING = chat.Sampling(
    max_tokens=64, temperature=0.5, top_p=0.9, seed=7, stop=("###",), ignore_end=False, top_k=40, min_p=0.1,
    presence_penalty=0.5, frequency_penalty=0.25, logprobs=1, adapter="tone",
)  # fmt: skip
CALL = chat.ToolCall(id="t1", name="clock", arguments="{}")
LIKELIHOOD = chat.Likelihood(
    token="In", logprob=-0.5, bytes=(73, 110),
    top=(chat.Likelihood(token="On", logprob=-1.5, bytes=(79, 110)),),
)  # fmt: skip
CITATION = chat.Citation(start=0, end=11, passage=1)
TURN = chat.Turn(
    user="owner", project="home", conversation="c1", answer="a1", role="assistant", text="In May [1].",
    at=1700000000.5, worker="brain-1", model="m", passages=(PASSAGE,), cited=(1,), finish_reason="stop",
    usage=USAGE, citations=(CITATION,), grounding="supported",
)  # fmt: skip
COMPACTED = chat.Compacted(
    conversation="c1", text="I said: The boiler hums.", turns=("a0", "a1"), after="a9", at=1700000000.5,
    model="m",
)  # fmt: skip
EXPLANATION = chat.Explanation(
    context_tokens=8192, answer_tokens=512, prompt_tokens=40, cached_tokens=20,
    parts=(chat.PromptPart(name="passages", tokens=20, cached=0, most=700, pieces=("notes/boiler.md",)),),
    left_out=(chat.LeftOut(name="history", what="2 exchanges", tokens=90, reason="too_old"),),
)  # fmt: skip
STATUS = documents.StorageStatus(
    folder="/storage", scanning=True, files=4, indexed=2, skipped=1, waiting=1, passages=9,
    files_per_second=2.5, passages_per_second=9.5, seconds_left=0.4, problem="",
)  # fmt: skip
ENTRY = documents.FileEntry(path="a.pdf", state="skipped", bytes=10, passages=0, reason="It is encrypted.")
PROJECT = projects.Project(
    project="boat", name="The boat", instructions="Be brief.", folder="boat/papers", uses_global=True,
    created=1.5, updated=2.5, adapter="tone",
)  # fmt: skip
FACT = memory.Fact(
    id="f1", text="The owner lives in Bonn.", subject="owner", attribute="city", value="Bonn", kind="place",
    effect="corrects", confidence=0.9, valid_from=1.5, valid_to=9.5, at=2.5, conversation="c1", answer="a1",
    quote="I live in Bonn", project="boat", origin="extracted", superseded_by="f2",
)  # fmt: skip

MESSAGES = (
    chat.Ask(
        answer="a1", conversation="c1", text="When?", retrieve=True, temporary=True, as_of=1.5,
        sampling=SAMPLING, explain=True,
    ),
    chat.Accepted(answer="a1", conversation="c1", sequence=41, worker="brain-1"),
    chat.Cancel(answer="a1"),
    chat.Answering(worker="brain-1", running=2),
    chat.Sources(answer="a1", index=0, passages=(PASSAGE,)),
    chat.Delta(answer="a1", index=1, text="In May \u00e9\u4e2d.", logprobs=(LIKELIHOOD,)),
    chat.ToolCalls(answer="a1", index=2, calls=(CALL,)),
    completion.Complete(
        answer="a1",
        messages=(
            completion.CompletionMessage(role="user", content="When?"),
            completion.CompletionMessage(role="assistant", calls=(CALL,)),
            completion.CompletionMessage(role="tool", content="In May.", call="t1"),
        ),
        sampling=SAMPLING,
        tools=(completion.Tool(name="clock", description="The time.", parameters={"type": "object"}),),
        tool_choice="required", tool="clock", format='{"type": "object"}', share="phone",
        background=True, retrieve=True, remember=True, conversation="c1",
    ),
    chat.Done(
        answer="a1", index=2, finish_reason="stop", usage=USAGE, cited=(1,), citations=(CITATION,),
        grounding="supported", explained=EXPLANATION,
    ),
    chat.Failed(answer="a1", index=2, code=failure.Code.INTERRUPTED, message="The brain died."),
    TURN,
    COMPACTED,
    chat.Titled(conversation="c1", title="Boiler", at=1.5, by_user=True),
    chat.Deleted(conversation="c1", at=1.5),
    chat.ListConversations(limit=10, before=2.5, matching="boiler"),
    chat.Conversations(
        conversations=(
            chat.Conversation(
                conversation="c1", project="home", title="Boiler", created=1.0, updated=2.0, turns=2,
                answering="a2",
            ),
        )
    ),
    chat.ReadConversation(conversation="c1", last=20),
    chat.History(
        conversation="c1", title="Boiler", turns=(TURN,), sequence=42, answering="a2", summary=COMPACTED,
        summarised=40,
    ),
    chat.OpenAnswers(),
    chat.Unanswered(turns=(TURN,)),
    documents.Recall(
        project="boat", query="boiler", limit=3, kinds=("turn", "fact"), after=1.5, before=2.5, as_of=3.5,
        with_global=True, context=("earlier",), conversation="c1", neighbours=1,
        unsupported=False,
    ),
    documents.Recalled(passages=(PASSAGE,), degraded="The embedder does not answer."),
    documents.OpenPassage(id="0f-3"),
    documents.PassageInContext(passage=PASSAGE, before="b", after="a"),
    documents.GetStorageStatus(),
    STATUS,
    documents.ListFiles(state="skipped", after="a", limit=5),
    documents.Files(files=(ENTRY,)),
    documents.Rescan(),
    documents.StorageChanged(version=12),
    documents.IndexFile(file="0f", path="a.pdf"),
    documents.FileAwaits(kind="image", file="0f", path="a.png"),
    embeddings.Embed(texts=("one", "two"), purpose="query"),
    embeddings.Vectors(model="m", rows=1, dimensions=2, data=b"\x00\x00\x80?\x00\x00\x00\x00"),
    health.DescribeEngine(),
    health.EngineDescription(
        engine="llamacpp", model="m", context_tokens=8192, slots=8, threads=2, device="cpu", reason="no GPU",
        alert="a",
    ),
    health.Heartbeat(
        kind="brain", instance="brain-1", node="n", version="0.1.0", pid=7, started=1.0, at=2.0,
        state="ready", detail="d", running=1, queued=2, handled=3, failed=4, memory_bytes=5,
    ),
    health.DeadLetter(
        subject="karais.job.librarian.0f", stream="JOBS", sequence=9, deliveries=5, reason="r", payload="{}",
        at=1.0,
    ),
    projects.ProjectChanged(project="boat", now=PROJECT),
    projects.ProjectRemoved(project="boat", at=1.5),
    projects.ListProjects(),
    projects.Projects(projects=(PROJECT,)),
    projects.ReadProject(project="boat"),
    projects.ProjectFound(project=PROJECT),
    projects.ChangeProject(
        project="boat", create=True, name="The boat", instructions="Be brief.", folder="boat/papers",
        uses_global=True, adapter="tone",
    ),
    projects.RemoveProject(project="boat"),
    memory.FactLearned(project="boat", learned=FACT),
    memory.FactEdited(project="boat", fact="f1", replacement=FACT, at=1.5),
    memory.FactForgotten(project="boat", fact="f1", at=1.5, replaced=("f0",)),
    memory.ListFacts(
        project="boat", matching="Bonn", history=True, as_of=2.5, with_global=True, limit=10, after="f1",
    ),
    memory.Facts(facts=(FACT,), more=True),
    memory.ShowFact(project="boat", fact="f1", with_global=True),
    memory.FactWithHistory(fact=FACT, earlier=(FACT,), later=(FACT,)),
    memory.AddFact(project="boat", text="It leaks.", valid_from=1.5, valid_to=2.5),
    memory.EditFact(
        project="boat", fact="f1", text="It leaked.", value="leaked", valid_from=1.5, valid_to=2.5,
    ),
    forgetting.Forget(project="boat", fact="f1", answer="a1", conversation="c1", dry_run=True),
    forgetting.Forgotten(turns=4, facts=2, passages=6, kept_in_backups_until=3.5),
    forgetting.TurnsForgotten(project="boat", conversation="c1", answers=("a1", "a2"), at=1.5),
    tools.ListTools(project="boat"),
    tools.ToolList(
        tools=(
            tools.ToolEntry(
                name="home__switch", description="Switch.", parameters={"type": "object"}, source="home",
                effect="changes", sends=True, untrusted=True,
            ),
        ),
        servers=(tools.ToolServer(name="home", state="ready", tools=1, detail="d"),),
    ),
    tools.CallTool(
        project="boat", call="a1-1", name="clock", arguments='{"zone":"UTC"}', answer="a1", conversation="c1",
        approved=True, seconds=5.0,
    ),
    tools.ToolResult(
        call="a1-1", name="clock", outcome="invalid", text="t", field="zone", truncated=True, untrusted=True,
        seconds=0.5, passages=(PASSAGE,),
    ),
    tools.ToolCalled(
        project="boat", call="a1-1", name="clock", source="built-in", effect="none", outcome="done",
        approved=True, arguments="0f", answer="a1", conversation="c1", seconds=0.5, characters=9, at=1.5,
    ),
    failure.Failure(code=failure.Code.INVALID, message="Too long.", field="$.text"),
)  # fmt: skip
