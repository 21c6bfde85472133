"""Training steps as machine code: made beside the first steps of a long run, and then several to a call.

A small step is all overhead: torch's dispatcher takes longer than the arithmetic. A long run of small steps therefore
has a process of its own compile them (`compiler`), takes its first steps eagerly meanwhile, and goes on with the
compiled code from there. Which steps are compiled follows from the plan alone, never from how long compiling
took: compiled steps round differently, and a run that is repeated or resumed must end in the same bits.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import subprocess
import sys
import weakref
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import engine
from engine.arguments import Json
from engine.layers.embeddings import Embedding
from engine.layers.recurring import Recurring
from engine.machine_code import cache_folder
from engine.plan import Plan
from engine.training.cost import is_small, step_seconds
from engine.training.data import Batch
from engine.training.noise import Asked, NoiseSource
from engine.training.step import State, Step
from engine.training.tables import Lean

log = logging.getLogger(__name__)

#: A job that takes less time eagerly is over before compiling would have paid: measured on two cores, it takes some
#: thirty seconds, and then a step takes a half to a tenth of its time.
WORTHWHILE_SECONDS = 20.0
#: For so long steps are eager while the compiler works; less would be idle waiting, more would be slow steps where the
#: code is in the cache already.
EAGER_SECONDS = 7.0
#: Recurrent loops take as long when compiled, so a step with some is halved at best: such a run must be so many times
#: as long to pay, and is eager for so many times as long.
PATIENCE = 3.0
#: A call of several small steps costs little more than the steps themselves; with more, compiling takes longer.
MOST_STEPS = 5
#: So many compiled steps are kept for later jobs of the same architecture.
KEPT_FILES = 200
#: What decides how a step rounds, among the engine's own files.
SOURCES = (".py", ".c")


@dataclass(frozen=True)
class Recipe:
    """All that compiled steps depend on, as JSON.

    Args:
        model: The model's definition.
        compile: How it learns.
        steps: How many steps one call shall take, where they are small enough.
        x: For each input, the shape and type of a batch.
        y: The shape of a batch's targets.
        w: The shape of its weights, if there are any.
        noise: What each step draws.
        threads: How many threads the code may use.
    """

    model: Json
    compile: Json
    steps: int
    x: list[tuple[list[int], str]]
    y: list[int]
    w: list[int] | None
    noise: Asked
    threads: int

    @staticmethod
    def of(plan: Plan, batch: Batch, batches: int, noise: Asked) -> Recipe:
        """Write down what the steps of a plan are compiled from, which has so many batches like this one an epoch."""
        if plan.fit is None or plan.compile is None or batch.y is None:
            raise RuntimeError("only training steps are compiled")
        return Recipe(
            plan.model.definition(),
            plan.compile.get_config(),
            steps_together(batches),
            [(list(each.shape), str(each.dtype).removeprefix("torch.")) for each in batch.x],
            list(batch.y.shape),
            None if batch.w is None else list(batch.w.shape),
            noise,
            torch.get_num_threads(),
        )

    def to_json(self) -> str:
        """Write it as one line; equal recipes give equal lines."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    def digest(self) -> str:
        """Name the compiled code: by the recipe, and by the versions of all that has a hand in it."""
        parts = (self.to_json(), torch.__version__, torch.backends.cpu.get_cpu_capability(), sources())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def steps_together(batches: int) -> int:
    """Choose how many steps one call takes, so that few of an epoch's batches are left over."""
    return min(range(min(MOST_STEPS, batches), min(MOST_STEPS, batches) // 2, -1), key=lambda steps: batches % steps)


@cache
def sources() -> str:
    """Digest the engine itself, so that no compiled step outlives the source that it was traced from."""
    sha256 = hashlib.sha256()
    for path in sorted(Path(engine.__file__).parent.rglob("*")):
        if path.suffix in SOURCES:
            sha256.update(path.read_bytes())
    return sha256.hexdigest()


class Compiling:
    """Compiled steps in the making, by a process of its own, or found ready in the cache.

    Args:
        recipe: What to compile.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.folder, self.name = cache_folder(), recipe.digest()
        self._process: subprocess.Popen[bytes] | None = None
        if self._found() is None:
            self._process = _start(recipe, self.folder / self.name)
            self._finalizer = weakref.finalize(self, _end, self._process)

    def _found(self) -> Path | None:
        return next(iter(self.folder.glob(f"{self.name}.*.so")), None)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self._process is None or self._process.poll() is not None

    def code(self) -> Code | None:
        """Load what was compiled; None if that failed."""
        path = self._found()
        if path is None:
            log.warning("the steps could not be compiled and stay eager")
            return None
        os.utime(path)
        return Code(path)

    def close(self) -> None:
        """Stop the process, if it still runs."""
        if self._process is not None:
            self._finalizer()


def _start(recipe: Recipe, target: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(  # noqa: S603  # this very Python, and a digest
        [sys.executable, "-m", "engine.training.compiler", str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if not log.isEnabledFor(logging.DEBUG) else None,
        env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(target.parent / "inductor")},
    )
    with suppress(BrokenPipeError), process.stdin or nullcontext() as told:  # it may be gone: its end will tell
        if told:
            told.write(recipe.to_json().encode())
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


class Code:
    """Compiled steps, loaded: `steps` of them are one call.

    Args:
        path: The shared library, whose name tells how many steps it takes.
    """

    def __init__(self, path: Path) -> None:
        self.steps = int(path.suffixes[-2][1:])
        self._runner: Any = torch._C._aoti.AOTIModelContainerRunnerCpu(str(path), 1)

    def __call__(self, state: State, batch: Batch, flats: list[Tensor]) -> State:
        """Take the steps; `flats` holds the noise of all of them."""
        names = sorted(state)
        data = [each.unflatten(0, (self.steps, -1)) for each in batch.tensors()]  # type: ignore[no-untyped-call]
        return dict(zip(names, self._runner.run([*(state[name] for name in names), *data, *flats]), strict=True))


def worthwhile(plan: Plan) -> bool:
    """Tell whether a run is long enough, and its steps small enough, to compile them.

    Not with an Embedding that learns: many threads would add the gradient of a row in any order.
    """
    learns = any(isinstance(each.layer, Embedding) and each.layer.trainable for each in plan.model.leaves())
    takes = plan.estimate["total_steps"] * step_seconds(plan)
    return takes >= WORTHWHILE_SECONDS * patience(plan) and is_small(plan) and not learns


def patience(plan: Plan) -> float:
    """Tell how many times as long as others a run must be until compiling its steps pays."""
    return PATIENCE if any(isinstance(each.layer, Recurring) for each in plan.model.leaves()) else 1.0


class Stepper:
    """Takes the steps of a run.

    Args:
        step: One step as a function.
        plan: Whose run it is.
        noise: Where the steps' noise comes from.
    """

    def __init__(self, step: Step, plan: Plan, noise: NoiseSource) -> None:
        self.step, self.plan, self.noise = step, plan, noise
        self.compiles = step.device.type == "cpu" and worthwhile(plan)
        self._switch = int(EAGER_SECONDS * patience(plan) / step_seconds(plan))
        self._compiling: Compiling | None = None
        self._code: Code | None = None
        self._key: object = None

    def begin(self, state: State, batch: Batch, batches: int) -> None:
        """Have the steps compiled, if they shall be; an epoch has so many batches of the size of this one."""
        if self.compiles and self._compiling is None:
            self._prepare(state, batch)
            self._key = batch.key
            self._compiling = Compiling(Recipe.of(self.plan, batch, batches, self.noise.asked(batch.key)))

    def _prepare(self, state: State, batch: Batch) -> None:
        self.noise.prepare(batch.key, lambda noise: self.step.rehearse(state, batch, noise))

    def __call__(self, state: State, batch: Batch, at: int) -> State:
        """Take the steps of a batch, or of several that lie together; `at` is the first one's number.

        Tables that lie apart change in place.
        """
        lean = Lean(self.step.tables, state, batch)
        key = batch.key
        self._prepare(state, batch)
        if self._code and key == self._key and batch.steps == self._code.steps:
            after = self._code(lean.state, batch, self.noise.flats(key, range(at, at + batch.steps)))
        else:
            after = self.step.train(lean.state, batch, self.noise.draw(key, at))
        return lean.put(after)

    def waits(self, at: int) -> bool:
        """Whether step `at` has to wait for the compiler."""
        return self._switches(at) and self._compiling is not None and not self._compiling.is_done

    def together(self, at: int) -> int:
        """Tell how many batches the call for step `at` takes together."""
        if self._switches(at) and self._compiling is not None:
            self._code = self._compiling.code()
            self.compiles = self._code is not None
        return self._code.steps if self._code else 1

    def until_switch(self, at: int) -> int | None:
        """Tell how many steps are eager yet; None if that will not change."""
        return self._switch - at if self.compiles and at < self._switch else None

    def _switches(self, at: int) -> bool:
        return self.compiles and self._code is None and at >= self._switch

    def close(self) -> None:
        """Stop a compiler that is still at work."""
        if self._compiling is not None:
            self._compiling.close()
