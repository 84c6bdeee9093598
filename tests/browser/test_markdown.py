"""Markdown in the page: what it shows, that streaming changes nothing, that nothing hostile gets through."""

from __future__ import annotations

import random
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import Household

RENDER = """async ([text, step]) => {
    const { MarkdownView } = await import("/static/markdown.js");
    const element = document.createElement("div");
    const view = new MarkdownView(element, (n) => {
        const node = document.createElement("button");
        node.textContent = `(${n})`;
        return n < 10 ? node : null;
    });
    const begun = performance.now();
    if (step === 0) view.append(text);
    else for (let i = 0; i < text.length; i += step) {
        view.append(text.slice(i, i + step));
        view.show();
    }
    view.end();
    const elapsed = performance.now() - begun;
    let depth = 0, walker = document.createTreeWalker(element);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        let d = 0;
        for (let p = node; p !== element; p = p.parentNode) d++;
        depth = Math.max(depth, d);
    }
    for (const tool of element.querySelectorAll("figcaption")) tool.remove();
    const all = [...element.querySelectorAll("*")];
    return {
        html: element.innerHTML,
        text: element.textContent,
        tags: [...new Set(all.map((e) => e.localName))],
        attributes: [...new Set(all.flatMap((e) => e.getAttributeNames()))],
        hrefs: [...element.querySelectorAll("a")].map((a) => a.href),
        elapsed, depth,
    };
}"""

TEXT_TAGS = {"p", "h3", "h4", "h5", "h6", "strong", "em", "del", "code", "a", "br", "button"}
BLOCK_TAGS = {"pre", "figure", "hr", "ul", "ol", "li", "blockquote", "div", "input"}
TABLE_TAGS = {"table", "thead", "tbody", "tr", "th", "td"}
TAGS = TEXT_TAGS | BLOCK_TAGS | TABLE_TAGS
ATTRIBUTES = {"class", "href", "target", "rel", "start", "type", "tabindex", "disabled"}

SAMPLE = """# Title
Some *em*, **strong**, ***both***, ~~gone~~, `code`, snake_case_word and 2 * 3 * 4.
A line\\
broken and another  \nbroken too.

- one
- two
  1. inner
  2. inner two
     - deep

       with a paragraph
- [x] done
- [ ] not done

3. three
4. four

> quoted **text**
> - with a list
lazy line

| a | b |
|:-:|--:|
| `x|y` | [1] |
| **b** | z \\| w |

```py
def f():
    return "<b>"  # *not em*
```

Under
-----
See <https://a.example/x>, https://b.example/y_(z). [link](https://c.example "t") [2, 3] [99]
a &lt; b &amp; c<br>d.

---
    indented code

Last **open
"""


@pytest.fixture
async def page(household: Household) -> Page:
    page = await household.page()
    await page.goto(household.url)
    return page


async def render(page: Page, text: str, step: int = 0) -> dict[str, Any]:
    return await page.evaluate(RENDER, [text, step])


MEANINGS = [
    ("a *b* **c**", "<p>a <em>b</em> <strong>c</strong></p>"),
    ("***x***", "<p><em><strong>x</strong></em></p>"),
    ("snake_case_word __init__", "<p>snake_case_word <strong>init</strong></p>"),
    ("2 * 3 * 4", "<p>2 * 3 * 4</p>"),
    ("**a *b* c**", "<p><strong>a <em>b</em> c</strong></p>"),
    ("`a*b*`", "<p><code>a*b*</code></p>"),
    ("`` a`b ``", "<p><code>a`b</code></p>"),
    ("\\*a\\*", "<p>*a*</p>"),
    ("# A\ntext", "<h3>A</h3><p>text</p>"),
    ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
    ("- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"),
    ("1. a\n   - b\n2. c", "<ol><li>a<ul><li>b</li></ul></li><li>c</li></ol>"),
    ("- a\n  - b\n    - c", "<ul><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li></ul>"),
    ("5) a", '<ol start="5"><li>a</li></ol>'),
    ("> a\n> b", "<blockquote><p>a\nb</p></blockquote>"),
    ("see [1][2]", "<p>see <button>(1)</button><button>(2)</button></p>"),
    ("no [99] such", "<p>no [99] such</p>"),
    ("a<br>b", "<p>a<br>b</p>"),
    ("x\n***\ny", "<p>x</p><hr><p>y</p>"),
    ("- ", "<ul><li></li></ul>"),
    ("1986. A year", '<ol start="1986"><li>A year</li></ol>'),
    ("so in\n1986. A year", "<p>so in\n1986. A year</p>"),
]


async def test_markdown_becomes_the_elements_it_means(page: Page) -> None:
    """The usual constructs become the usual elements."""
    shown = [(text, (await render(page, text))["html"]) for text, _ in MEANINGS]
    assert shown == MEANINGS


async def test_streaming_ends_with_what_the_whole_text_gives(page: Page) -> None:
    """However the text is cut into deltas, the final elements are the same."""
    whole = await render(page, SAMPLE)
    for step in (1, 3, 7, 50):
        assert (await render(page, SAMPLE, step))["html"] == whole["html"]


async def test_random_text_streams_to_the_same_elements(page: Page) -> None:
    """Random mixtures of markers, with a fixed seed: streamed and whole agree, all elements are safe."""
    source = random.Random(7)
    marks = ["*", "**", "_", "`", "```\n", "~~", "[", "](", ")", "[1]", "- ", "1. ", "> ", "# ", "|", "---"]
    pieces = [*marks, "\n", "\n\n", "  ", "    ", "a", "b c", "<", "&lt;", "https://a.b/", "\\"]
    for _ in range(60):
        text = "".join(source.choice(pieces) for _ in range(60))
        whole, streamed = await render(page, text), await render(page, text, 2)
        assert streamed["html"] == whole["html"], text
        assert set(whole["tags"]) <= TAGS, text
        assert set(whole["attributes"]) <= ATTRIBUTES, text


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)><iframe srcdoc='<script>alert(1)</script>'>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](<java\tscript:alert(1)>)",
    "[x](java&#10;script:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](vbscript:x) [y](file:///etc/passwd) [z](//evil.example/a) [w](/api/v1/ask)",
    "<javascript:alert(1)>",
    "![x](https://evil.example/track.png)",
    "![x](javascript:alert(1))",
    '[x](https://a.example/"onmouseover="alert(1))',
    "```<script>\n</code></pre><script>alert(1)</script>\n```",
    "| <script>alert(1)</script> |\n|-|\n| <img src=x onerror=alert(1)> |",
    "# <script>alert(1)</script>\n> <b onclick=alert(1)>\n- <style>*{display:none}</style>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "[[x](javascript:alert(1))](javascript:alert(2))",
]


async def test_hostile_text_stays_text(page: Page) -> None:
    """No element, attribute or address beyond the allowed ones ever comes out, whole or streamed."""
    for text in HOSTILE:
        for step in (0, 1):
            shown = await render(page, text, step)
            assert set(shown["tags"]) <= TAGS, text
            assert set(shown["attributes"]) <= ATTRIBUTES, text
            for href in shown["hrefs"]:
                assert href.startswith(("https://", "http://", "mailto:")), text
                assert "127.0.0.1" not in href, text


PATHOLOGICAL = [
    "*" * 50_000,
    "*a " * 30_000,
    "a* " * 30_000,
    "**a " * 20_000 + "b** " * 20_000,
    "_a *b " * 20_000,
    "[" * 50_000,
    "[a](" * 20_000,
    "[" * 20_000 + "](" * 20_000,
    "`" * 50_000,
    " ".join("`" * n for n in range(1, 400)),
    "> " * 20_000,
    "- " * 20_000,
    "\n".join("  " * n + "- a" for n in range(500)),
    "|" * 20_000 + "\n" + "|-" * 20_000,
    "a | b\n" * 20_000,
    "<" * 50_000,
    "h" * 50_000 + "https://" * 10_000,
    "[1]" * 20_000,
    "- a\n" * 20_000,
    "x " * 500_000,
    "#" * 100_000,
    "~~~\n" * 10_001,
    "-" * 50_000 + "a",
    "![" * 30_000,
    "(" * 20_000 + "[a](" + "(" * 20_000,
]


async def test_pathological_text_is_shown_in_time_and_not_too_deep(page: Page) -> None:
    """Text made to be slow or deep takes less than two seconds and nests fewer than 100 elements."""
    shown = [(text[:40], await render(page, text)) for text in PATHOLOGICAL]
    slow = [(text, one["elapsed"]) for text, one in shown if one["elapsed"] >= 2000]
    deep = [(text, one["depth"]) for text, one in shown if one["depth"] >= 100]
    assert (slow, deep) == ([], [])


MARKS = """async ([text, citations, cited, count]) => {
    const { withMarks } = await import("/static/citations.js");
    return withMarks(text, citations, cited, count);
}"""


@pytest.mark.parametrize(
    ("text", "citations", "cited", "shown"),
    [
        ("One [1]. Two [2].", [], [], "One. Two."),
        ("One [1]. Two [2].", [(13, 2)], [2], "One. Two [2]."),
        ("One. Two.", [(4, 1), (9, 2)], [1, 2], "One. [1] Two. [2]"),
        ("One. [2] Two.", [(4, 1)], [1], "One. [1] Two."),
        ("\U0001f642 One. Two.", [(6, 1)], [1], "\U0001f642 One. [1] Two."),
        ("In `a[1]` and [1] [9].\n```\nb[2]\n```", [], [], "In `a[1]` and [9].\n```\nb[2]\n```"),
        ("An older answer [1], [2].", [], [2], "An older answer, [2]."),
        ("A [1](https://example.org/) link.", [], [], "A [1](https://example.org/) link."),
        ("One.", [(4, 7)], [7], "One."),
    ],
)
async def test_only_supported_marks_are_shown(
    household: Household, text: str, citations: list[tuple[int, int]], cited: list[int], shown: str
) -> None:
    """Marks that the model wrote go, those that the brain found supported come behind their sentence."""
    page = await household.page()
    await page.goto(household.url)
    places = [{"start": 0, "end": end, "passage": passage} for end, passage in citations]
    assert await page.evaluate(MARKS, [text, places, cited, 3]) == shown
