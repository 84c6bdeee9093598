"""Models of a hub that KARAIS knows: where they are, how they are used, which file is for which machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from schemas.errors import Unavailable
from stores.weights.fit import Fit, Shape, fit, shape_of_config, size
from stores.weights.registry import Profile


class Variant(Struct, frozen=True, kw_only=True):
    """One file of a model: its weights, rounded in one way."""

    quantisation: str
    file: str
    bytes: int
    """Its size, or about that where ``sha256`` is empty; the hub tells it exactly."""
    sha256: str = ""
    """Pinned where it is known; else what the hub says is recorded and checked."""
    small: bool = False
    """Rounded so far that answers suffer: only where nothing better fits."""


class HubModel(Struct, frozen=True, kw_only=True):
    """A model on a hub, at one revision."""

    name: str
    about: str
    repository: str
    revision: str
    """The commit; a hub cannot give another file for it without being noticed where a SHA-256 is pinned."""
    variants: tuple[Variant, ...]
    """Best first."""
    config: Mapping[str, int]
    """What of the model's ``config.json`` counts for its memory."""
    contexts: tuple[int, ...]
    """Contexts worth having, in tokens, largest first."""
    profile: Profile

    @property
    def source(self) -> str:
        """Where it comes from, as the manifest says it."""
        return f"hub:{self.repository}@{self.revision[:12]}"

    def variant(self, quantisation: str) -> Variant | None:
        """Return the variant of this name, in any case of letters, or None."""
        return next((v for v in self.variants if v.quantisation.lower() == quantisation.lower()), None)

    def shape(self, variant: Variant) -> Shape:
        """Return what counts for its memory, before the file is there."""
        return shape_of_config(self.config, variant.bytes)


class Choice(Struct, frozen=True):
    """The variant for a machine, and why."""

    variant: Variant
    fit: Fit
    sentence: str


MISTRAL_TEMPLATE = """\
{{- bos_token }}
{%- set state = namespace(system='', last=-1) %}
{%- for message in messages %}
    {%- if message['role'] == 'user' %}
        {%- set state.last = loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message['role'] == 'system' %}
        {%- set state.system = state.system + message['content'] + '\\n\\n' %}
    {%- elif message['role'] == 'user' %}
        {%- if tools and loop.index0 == state.last %}
            {{- '[AVAILABLE_TOOLS]' + (tools | tojson) + '[/AVAILABLE_TOOLS]' }}
        {%- endif %}
        {{- '[INST]' + state.system + message['content'] + '[/INST]' }}
        {%- set state.system = '' %}
    {%- elif message['role'] == 'assistant' %}
        {%- if message['tool_calls'] %}
            {{- '[TOOL_CALLS][' }}
            {%- for call in message['tool_calls'] %}
                {%- set wanted = call['function'] if call['function'] else call %}
                {{- ', ' if not loop.first else '' }}
                {{- '{"name": ' + (wanted['name'] | tojson) + ', "arguments": ' }}
                {%- set given = wanted['arguments'] %}
                {{- given if given is string else (given | tojson) }}
                {{- ', "id": ' + (call['id'] | tojson) + '}' }}
            {%- endfor %}
            {{- ']' + eos_token }}
        {%- else %}
            {{- (message['content'] | trim) + eos_token }}
        {%- endif %}
    {%- elif message['role'] == 'tool' %}
        {{- '[TOOL_RESULTS]{"content": ' + (message['content'] | tojson) + ', "call_id": ' }}
        {{- (message['tool_call_id'] | tojson) + '}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception('the role ' + message['role'] + ' is not known') }}
    {%- endif %}
{%- endfor %}
{%- if state.system %}
    {{- '[INST]' + (state.system | trim) + '[/INST]' }}
{%- endif %}
"""
"""Version 3 of Mistral's format. The published GGUF files bring a template that refuses system text; here it
stands at the front of the user's next words, which is where a conversation begins. No space follows a
control token: the tokenizer puts one before text there by itself, and the model was trained with one."""

_FILE = "Mistral-7B-Instruct-v0.3-{}.gguf"

MISTRAL = HubModel(
    name="mistral-7b-instruct",
    about="language model, 7 billion weights, several languages, tools",
    repository="bartowski/Mistral-7B-Instruct-v0.3-GGUF",
    revision="61fd4167fff3ab01ee1cfe0da183fa27a944db48",
    variants=(
        Variant(quantisation="Q8_0", file=_FILE.format("Q8_0"), bytes=7_702_565_088),
        Variant(quantisation="Q6_K", file=_FILE.format("Q6_K"), bytes=5_950_000_000),
        Variant(quantisation="Q5_K_M", file=_FILE.format("Q5_K_M"), bytes=5_140_000_000),
        Variant(
            quantisation="Q4_K_M",
            file=_FILE.format("Q4_K_M"),
            bytes=4_372_812_000,
            sha256="1270d22c0fbb3d092fb725d4d96c457b7b687a5f5a715abe1e818da303e562b6",
        ),
        Variant(quantisation="IQ4_XS", file=_FILE.format("IQ4_XS"), bytes=3_920_000_000, small=True),
        Variant(quantisation="Q3_K_M", file=_FILE.format("Q3_K_M"), bytes=3_530_000_000, small=True),
    ),
    config={
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 32_768,
        "max_position_embeddings": 32_768,
    },
    contexts=(32_768, 16_384, 8_192, 4_096),
    profile=Profile(
        context=32_768,
        temperature=0.7,
        license="Apache-2.0",
        template=MISTRAL_TEMPLATE,
        stop=("</s>",),
        control_tokens=(
            "<s>",
            "</s>",
            "[INST]",
            "[/INST]",
            "[TOOL_CALLS]",
            "[AVAILABLE_TOOLS]",
            "[/AVAILABLE_TOOLS]",
            "[TOOL_RESULTS]",
            "[/TOOL_RESULTS]",
        ),
    ),
)

HUB_MODELS = (MISTRAL,)


def hub_model(name: str) -> HubModel | None:
    """Return the known model of this name, or None."""
    return next((model for model in HUB_MODELS if model.name == name), None)


def choose(model: HubModel, *, cards: Sequence[int], ram: int) -> Choice:
    """Return the variant for a machine; ``cards`` and ``ram`` are the bytes that a model may take of each.

    The largest card counts. On it the model shall be whole: first with the
    largest context, and of what has room then the best. A card too small for
    that, and a machine without one, get the smallest variant that is not
    rounded too far, for every further byte makes each token slower there.
    Raises Unavailable, with the numbers, when nothing fits.
    """
    best = [max(cards)] if cards and max(cards) > 0 else []
    good = [variant for variant in model.variants if not variant.small]
    if best:
        for context in model.contexts:
            for variant in good:
                found = fit(model.shape(variant), context=context, cards=best, ram=ram)
                if found.where == "card":
                    return _choice(variant, found)
    for variant in (good[-1], *(v for v in model.variants if v.small)):
        # more context than this is of little use where every token of it costs so much time
        for context in (c for c in model.contexts if c <= 8192):
            found = fit(model.shape(variant), context=context, cards=best, ram=ram)
            if found.fits:
                return _choice(variant, found)
    least = model.variants[-1]
    found = fit(model.shape(least), context=model.contexts[-1], cards=best, ram=ram)
    raise Unavailable(
        f"No variant of {model.name} fits this machine. The smallest is {least.quantisation}."
        f" {found.sentence} Take a smaller model."
    )


def _choice(variant: Variant, found: Fit) -> Choice:
    sentence = f"{variant.quantisation} ({size(variant.bytes)}) with a context of {found.context:,} tokens."
    return Choice(variant, found, f"{sentence} {found.sentence}")
