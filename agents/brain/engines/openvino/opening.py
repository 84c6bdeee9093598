"""A model on OpenVINO, as an ``Engine``."""

from __future__ import annotations

import asyncio
import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.brain.engines.llamacpp_load import physical_cores
from agents.brain.engines.openvino import fitting, graph
from agents.brain.engines.openvino.converting import MODEL, converted
from agents.brain.engines.openvino.runner import OpenVinoRunner
from agents.brain.engines.texts import text_side
from agents.brain.stepping.adapters import Adapters
from agents.brain.stepping.engine import SteppingEngine
from schemas.errors import KaraisError, Unavailable
from schemas.failure import Code
from schemas.health import EngineDescription
from stores.weights import gguf_header
from stores.weights.adapters import shape_of
from stores.weights.registry import models_in

if TYPE_CHECKING:
    from bus.settings import Settings
    from stores.weights.adapters import Shape
    from stores.weights.registry import Model


_DONTNEED = 4
"""Linux' MADV_DONTNEED."""


async def open_openvino(settings: Settings, model: Model, reason: str) -> SteppingEngine:
    """Load a model. Raises KaraisError naming the file when that fails."""
    if objection := fitting.objection(model):
        raise KaraisError(
            f"OpenVINO cannot run the model {model.name}: {objection}; choose the engine llamacpp.",
            code=Code.INVALID,
        )
    threads = settings.threads or physical_cores()
    loaded = await asyncio.to_thread(_Loaded, settings, model, threads)
    description = EngineDescription(
        engine="openvino",
        model=model.name,
        context_tokens=loaded.runner.capacity,
        slots=settings.slots,
        threads=threads,
        device="cpu",
        reason=reason,
    )
    adapters = Adapters(settings.models, loaded.shape, loaded.make_adaptable)
    profile = model.manifest.profile
    return SteppingEngine(loaded.runner, description, profile, loaded.vocabulary, loaded.prompts, adapters)


class _Loaded:
    """A model that is loaded, and how more is loaded of it. Making it blocks for seconds."""

    def __init__(self, settings: Settings, model: Model, threads: int) -> None:
        import openvino

        header = gguf_header.read_header(model.weights)
        self.vocabulary, self.prompts = text_side(model, header)
        self.shape = shape_of(model.name, header)
        self._threads = threads
        self._core = openvino.Core()
        self._file = converted(model) / MODEL
        ready, caches = self._compiled(None)
        self.runner = OpenVinoRunner(ready, caches, settings.context, self.shape)
        self.runner.warm_up()
        _unmap(self._file.with_suffix(".bin"))
        if any(other.manifest.kind == "lora" for other in models_in(settings.models)):
            self.make_adaptable()  # now, and not while someone waits for it

    def make_adaptable(self) -> None:
        """Compile the model with inputs for adapters too, once. Blocks for seconds; takes its memory again.

        Raises KaraisError when its layers cannot be told apart.
        """
        if not self.runner.adaptable:
            self.runner.take_adaptable(self._compiled(self.shape)[0])

    def _compiled(self, adapters: Shape | None) -> tuple[Any, list[graph.Cache]]:
        try:
            return graph.compiled(self._core, self._file, self._threads, adapters)
        except (RuntimeError, ValueError) as error:
            line = str(error).strip().splitlines()[-1][:200]
            raise Unavailable(
                f"OpenVINO cannot load {self._file} ({line}): remove its folder and try again, or choose the"
                " engine llamacpp."
            ) from None


def _unmap(file: Path) -> None:
    """Give back the memory of the weights' file, which the first pass has copied in another order.

    The file stays mapped, so whatever should still read it gets it from the disk.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        maps = Path("/proc/self/maps").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in maps:
        if line.endswith(str(file)) and line.split()[1].startswith("r-"):
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _DONTNEED)
