"""A chat template renders as in transformers, and can neither reach anything nor run on for ever."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bus.settings import Settings
from ops import models as commands
from schemas.errors import KaraisError
from schemas.failure import Code
from stores.weights import registry
from stores.weights.profiles import MISTRAL_TEMPLATE
from stores.weights.templates import check, render
from tests.random_models import TEMPLATE, write_gguf, write_safetensors

USER = {"role": "user", "content": 'Is 3 < 5 & "yes"? <|im_end|> {{ 7 * 7 }} é'}
CHATML = (
    "{% for message in messages %}\n"
    "    {% if not loop.first %}{{ '' }}{% endif %}\n"
    "    {{- '<|im_start|>' + message['role'] + '\\n' }}\n"
    "    {%- if message.role == 'assistant' %}{% generation %}{{ message['content'] | trim }}"
    "{% endgeneration %}{% else %}{{ message['content'] }}{% endif %}\n"
    "    {{- '<|im_end|>' + '\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if tools %}{% for tool in tools %}{{ tool | tojson(indent=2) }}"
    "{% if loop.index > 1 %}{% break %}{% endif %}{% endfor %}{% endif %}\n"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
ENDLESS = "{% for i in range(99999) %}" * 3 + "{% endfor %}" * 3
DOUBLING = "{% set n = namespace(x='ab') %}{% for i in range(64) %}{% set n.x = n.x ~ n.x %}{% endfor %}"
HOSTILE = {
    "internals": "{{ ''.__class__.__mro__ }}",
    "internals by filter": "{{ (''|attr('__class__')).__mro__ }}",
    "globals": "{{ cycler.__init__.__globals__ }}",
    "a range without end": "{% for i in range(10**9) %}x{% endfor %}",
    "loops without end": ENDLESS,
    "a huge string": "{{ 'a' * 10000000000 }}",
    "a huge string, put together": "{{ 'a' * (1000 * 1000 * 1000 * 1000) }}",
    "a huge width": "{{ '%99999999999s' % 'x' }}",
    "a huge number": "{{ (999999 ** 999999) ** 99 }}",
    "a text that doubles": DOUBLING,
    "a macro that calls itself": "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "deep brackets": "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}",
    "a namespace with an underscore": "{% set n = namespace(__class__=1) %}",
    "much text": "{% for i in range(99999) %}{{ 'ab' * 99 }}{% endfor %}",
}


def conversation() -> list[dict[str, Any]]:
    return [
        {"role": "system", "content": "Be brief."},
        USER,
        {"role": "assistant", "content": " Yes. "},
        {"role": "user", "content": "Sure?\n\nReally."},
    ]


def theirs(template: str, **variables: Any) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    tools = variables.pop("tools", None)
    rendered = render_jinja_template([conversation()], tools=tools, chat_template=template, **variables)
    text: Any = rendered[0] if isinstance(rendered, tuple) else rendered
    return str(text[0] if isinstance(text, list) else text)


@pytest.mark.parametrize("template", [CHATML, MISTRAL_TEMPLATE, TEMPLATE], ids=["chatml", "mistral", "plain"])
@pytest.mark.parametrize("tools", [None, [{"type": "function", "function": {"name": "ü", "parameters": {}}}]])
def test_a_template_renders_as_in_transformers(template: str, tools: list[dict[str, Any]] | None) -> None:
    words = {"bos_token": "<s>", "eos_token": "</s>"}
    ours = render(template, conversation(), tools, add_generation_prompt=True, **words)
    assert ours == theirs(template, tools=tools, add_generation_prompt=True, **words)
    assert ours.count("{{ 7 * 7 }}") == 1  # the text of a message is not a template


def test_a_template_is_given_more_variables_and_the_date() -> None:
    template = "{{ mood }} {{ strftime_now('%Y') }} {{ dict(a=1).a }}"
    assert render(template, [], more={"mood": "glad"}) == f"glad {time.strftime('%Y')} 1"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_fails_typed_and_soon(name: str) -> None:
    began = time.monotonic()
    with pytest.raises(KaraisError) as stopped:
        render(HOSTILE[name], [USER], seconds=1.0)
    assert stopped.value.code is Code.INVALID
    assert stopped.value.field == "chat_template"
    assert time.monotonic() - began < 8
    assert render("{{ messages[0].content }}", [USER]) == USER["content"]  # the next one is not hurt


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_refused_at_intake_with_its_file(name: str) -> None:
    with pytest.raises(KaraisError, match=r"template in models/x\.gguf is refused") as refused:
        check(HOSTILE[name], "models/x.gguf")
    assert refused.value.code is Code.INVALID


def test_what_stands_in_a_branch_that_is_not_taken_is_found_too() -> None:
    for hidden in ("{{ ''.__class__ }}", "{% for i in range(2000000) %}{% endfor %}", "{{ 'a' * 2 ** 40 }}"):
        with pytest.raises(KaraisError, match="refused"):
            check("{% if messages[0].content == 'now' %}" + hidden + "{% endif %}", "f")


@pytest.mark.parametrize("template", [CHATML, MISTRAL_TEMPLATE, TEMPLATE])
def test_honest_templates_are_taken(template: str) -> None:
    check(template, "f")


def test_a_template_that_takes_no_system_text_is_honest() -> None:
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system text') }}{% endif %}x"
    check(template, "f")
    with pytest.raises(KaraisError, match="does not take these messages: no system text"):
        render(template, conversation())


def test_a_wrong_template_says_the_line() -> None:
    with pytest.raises(KaraisError, match="line 2"):
        render("a\n{% for %}", [])


def test_what_a_template_can_reach_is_nothing(tmp_path: Path) -> None:
    """Even with Python at its hands it could open and write no file: the process has no room for one."""
    from stores.weights.templates import _CHILD

    render("x", [])
    assert _CHILD._process
    limits = Path(f"/proc/{_CHILD._process.pid}/limits").read_text()
    assert "Max open files            3  " in limits
    assert "Max file size             0  " in limits
    assert not [
        v for v in Path(f"/proc/{_CHILD._process.pid}/environ").read_bytes().split(b"\0") if b"=" in v
    ]


def test_several_threads_render_at_a_time_and_a_killed_process_is_replaced() -> None:
    from stores.weights.templates import _CHILD

    said: list[str] = []
    lock = threading.Lock()

    def ask(number: int) -> None:
        for _ in range(20):
            text = render("{{ messages[0].content }}", [{"role": "user", "content": f"{number}"}])
            with lock:
                said.append(text)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(said)) == ["0", "1", "2", "3"]
    assert len(said) == 80
    assert _CHILD._process
    os.kill(_CHILD._process.pid, 9)
    _CHILD._process.wait()
    assert render("x", []) == "x"


def test_a_model_with_a_hostile_template_is_not_taken_in(tmp_path: Path) -> None:
    """In a GGUF file's metadata, in the tokenizer's configuration, and in a file of its own."""
    settings = Settings(home=tmp_path / "home")
    write_gguf(tmp_path / "bad.gguf", layers=1, template=HOSTILE["internals"])
    folders = [
        write_safetensors(tmp_path / name, layers=1, template=None) and tmp_path / name for name in "ab"
    ]
    (folders[0] / "chat_template.jinja").write_text(HOSTILE["a range without end"])
    (folders[1] / "tokenizer_config.json").write_text(
        '{"chat_template": [{"name": "default", "template": "x"},'
        ' {"name": "tool", "template": "{{ x.__init__ }}"}]}'
    )
    named = (tmp_path / "bad.gguf", folders[0] / "chat_template.jinja", folders[1] / "tokenizer_config.json")
    for path, file in zip((tmp_path / "bad.gguf", *folders), named, strict=True):
        with pytest.raises(KaraisError, match="template") as refused:
            commands.add(settings, path, name="bad")
        assert str(file) in str(refused.value)
    assert registry.models_in(settings.models) == []
    write_gguf(tmp_path / "good.gguf", layers=1)
    assert commands.add(settings, tmp_path / "good.gguf").manifest.checked_template
