"""What a job may be made of: `python -m tools.reference` writes docs/reference.md from `engine.capabilities`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.capabilities import capabilities, describe
from engine.layer import Layer

PAGE = Path(__file__).parent.parent / "docs/reference.md"
HEAD = """# Reference

Everything a job may name, with its arguments, in Keras 1's order. Made by `python -m tools.reference` from the
classes that do the work, as `GET /v1/capabilities` is; `tests/test_reference.py` compares.
"""
ARGUMENTS = "| argument | takes | default | meaning |\n|---|---|---|---|\n"
#: In the order of the page: parts of a job, what is made of classes, and what of functions.
PARTS = ("compile", "fit", "evaluate", "predict", "session")
CLASSES = {
    "layers": "Layers",
    "optimizers": "Optimizers",
    "callbacks": "Callbacks",
    "constraints": "Constraints",
}
FUNCTIONS = {
    "losses": "Losses",
    "metrics": "Metrics",
    "activations": "Activations",
    "initializations": "Initializations",
}

Described = dict[str, Any]


def page() -> str:
    """Write the page."""
    every = describe(Layer)["arguments"]
    found = capabilities()
    parts = [HEAD, "\n## Parts of a job\n", *(_class(f"`{part}`", found[part]) for part in PARTS)]
    parts += ["\n## Steps of a session\n", *(_class(f"`{step}`", its) for step, its in found["steps"].items())]
    parts += ["\n## Arguments of every layer\n\n", *_table(every)]
    for key, title in CLASSES.items():
        own = {each["name"] for each in every} if key == "layers" else set()
        parts += [f"\n## {title}\n", *(_class(name, its, own) for name, its in found[key].items())]
    for key, title in FUNCTIONS.items():
        parts += [f"\n## {title}\n\n", *_functions(found[key])]
    parts += ["\n## Regularizers\n\n", *_names(found["regularizers"])]
    parts += ["\n## Preprocessing\n", *(_class(f"`{name}`", its) for name, its in found["preprocessing"].items())]
    parts += [_class("`augmentation`", found["augmentation"])]
    parts += ["\n## Exports\n\n", *(f"- `{name}`: `{file}`\n" for name, file in found["exports"].items())]
    parts += ["\n## Functions of `K`\n\n", *_calls(found["backend"])]
    parts += ["\n## Names of Keras 2 and 3\n\n", *_later(found["later_keras"]["layers"])]
    return "".join(parts)


def _class(title: str, its: Described, known: Iterable[str] = ()) -> str:
    """Describe a class but for the arguments that are known already."""
    own = [each for each in its["arguments"] if each["name"] not in known]
    return f"\n### {title}\n\n{its['meaning']}{_aliases(its)}\n" + ("\n" + "".join(_table(own)) if own else "")


def _table(arguments: list[Described]) -> Iterable[str]:
    yield ARGUMENTS
    for each in arguments:
        default = "required" if each["required"] else f"`{json.dumps(each['default'])}`"
        takes = _cell(each["takes"]).replace("<", "&lt;")
        yield f"| `{each['name']}` | {takes} | {default} | {_cell(each['meaning'])} |\n"


def _functions(its: dict[str, Described]) -> Iterable[str]:
    yield "| name | also | meaning |\n|---|---|---|\n"
    for name, each in its.items():
        yield f"| `{name}` | {_quoted(each['aliases'])} | {_cell(each['meaning'])} |\n"


def _names(its: dict[str, Described]) -> Iterable[str]:
    yield "| name | also |\n|---|---|\n"
    for name, each in its.items():
        yield f"| `{name}` | {_quoted(each['aliases'])} |\n"


def _calls(its: dict[str, list[str]]) -> Iterable[str]:
    for name, arguments in its.items():
        yield f"- `K.{name}({', '.join(arguments)})`\n"


def _later(its: dict[str, str]) -> Iterable[str]:
    yield "These are taken too, as what stands beside them; a layer of the same name is not listed.\n\n"
    yield "| Keras 2 or 3 | here |\n|---|---|\n"
    for later, ours in its.items():
        if later != ours:
            yield f"| `{later}` | `{ours}` |\n"


def _aliases(its: Described) -> str:
    return f" Also: {_quoted(its['aliases'])}." if its.get("aliases") else ""


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
