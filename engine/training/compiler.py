"""The process that compiles training steps: `python -m engine.training.compiler TARGET`, the recipe on its input.

It writes `TARGET.<steps>.so`, a library that takes so many steps in one call, whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._inductor import config
from torch._inductor.compile_fx import compile_fx_aot
from torch._inductor.cpp_builder import CppBuilder
from torch._inductor.decomposition import select_decomp_table
from torch.fx.experimental.proxy_tensor import make_fx

from engine.compiled import Compile
from engine.definition import read_model
from engine.limits import Limits
from engine.training.compilation import KEPT_FILES, Recipe
from engine.training.data import Batch
from engine.training.noise import cut, widths
from engine.training.step import Step

OPTIONS = {
    "compile_threads": 1,  # no pool of processes that would outlive this one
    "cpp.vec_isa_ok": True,  # the processor does what it says; trying out takes seconds
    "aot_inductor.enable_line_tables": False,
    # headers would take longer to compile beforehand than they save
    "cpp_cache_precompile_headers": False,
    "aot_inductor.precompile_headers": False,
}
#: A graph of more operations takes the compiler too long.
MOST_OPERATIONS = 2_500
#: So many operations keep a call busy: with several steps of a larger model, compiling would only take longer.
MOST_TOGETHER = 1_000


class Steps:
    """Several training steps as one function of tensors, with tensors of the right shapes to trace it on.

    Args:
        recipe: Of what.
        steps: How many.
    """

    def __init__(self, recipe: Recipe, steps: int) -> None:
        model, _ = read_model(recipe.model, Limits(max_layers=sys.maxsize, max_parameters=sys.maxsize))
        compiled = Compile.from_config(recipe.compile)
        self.recipe, self.steps = recipe, steps
        self.step = Step(model, compiled)
        state = self.step.start({each.name: torch.zeros(each.shape) for each in model.all_weights})
        one = Batch(
            tuple(torch.zeros(shape, dtype=getattr(torch, dtype)) for shape, dtype in recipe.x),
            torch.zeros(recipe.y),
            None if recipe.w is None else torch.zeros(recipe.w),
        )
        self.names = sorted(state)
        data = [torch.stack([each] * steps) for each in one.tensors()]
        flats = [torch.zeros(steps, width) for width in widths(recipe.noise)]
        self.examples = [*(state[name].clone() for name in self.names), *data, *flats]

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        """Take the steps: the state, the data and the noise in, the state out."""
        state = dict(zip(self.names, tensors, strict=False))
        rest = list(tensors[len(self.names) :])
        x, rest = rest[: len(self.recipe.x)], rest[len(self.recipe.x) :]
        y, rest = rest[0], rest[1:]
        w, flats = (rest[0], rest[1:]) if self.recipe.w is not None else (None, rest)
        for index in range(self.steps):
            batch = Batch(tuple(each[index] for each in x), y[index], None if w is None else w[index])
            state = self.step.train(state, batch, cut(self.recipe.noise, [flat[index] for flat in flats]))
        return [state[name] for name in self.names]


def trace(recipe: Recipe) -> tuple[Any, Steps]:
    """Trace as many steps as one call shall take.

    Raises:
        SystemExit: Even a single step is too large.
    """
    single = Steps(recipe, 1)
    graph = _traced(single)
    operations = len(graph.graph.nodes)
    if operations > MOST_OPERATIONS:
        raise SystemExit(f"A step has {operations} operations; at most {MOST_OPERATIONS} are compiled.")
    if operations * recipe.steps > MOST_TOGETHER:
        return graph, single
    several = Steps(recipe, recipe.steps)
    return _traced(several), several


def _traced(steps: Steps) -> Any:
    return make_fx(steps, decomposition_table=select_decomp_table(), tracing_mode="fake")(*steps.examples)


@contextmanager
def side_by_side() -> Iterator[None]:
    """Have torch build a library's two objects at once: its wrapper beside its kernels, both of them mostly headers."""
    build = CppBuilder.build
    with ThreadPoolExecutor() as pool:
        building: list[Future[None]] = []

        def start(self: CppBuilder) -> None:
            target = self.get_target_file_path()
            if target.endswith(".wrapper.o"):
                building.append(pool.submit(build, self))
                return
            if target.endswith(".so"):
                for each in building:
                    each.result()
            build(self)

        CppBuilder.build = start  # type: ignore[method-assign]
        try:
            yield
        finally:
            CppBuilder.build = build  # type: ignore[method-assign]


def main() -> None:
    """Compile, and put the library in its place."""
    target = Path(sys.argv[1])
    told = json.load(sys.stdin)
    recipe = Recipe(**told | {"x": [(shape, dtype) for shape, dtype in told["x"]]})
    torch.set_num_threads(recipe.threads)
    with torch.no_grad(), config.patch(OPTIONS), side_by_side():
        graph, steps = trace(recipe)
        library = Path(str(compile_fx_aot(graph, [*steps.examples])))
    for suffix in (".json", ".so"):  # beside a library lies what it tells of operations that are not torch's own
        _put(library.with_suffix(suffix), target.with_suffix(f".{steps.steps}{suffix}"))
    kept = sorted(target.parent.glob("*.so"), key=lambda path: path.stat().st_mtime)
    for path in kept[:-KEPT_FILES]:
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)


def _put(made: Path, target: Path) -> None:
    if made.exists():
        part = target.with_suffix(f".{os.getpid()}.part")
        shutil.copy(made, part)
        part.replace(target)


if __name__ == "__main__":
    main()
