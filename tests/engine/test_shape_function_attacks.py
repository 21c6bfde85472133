"""A function of shapes is a stranger's text: it is read or refused, quickly, and never run."""

import time

import pytest

from engine.errors import DefinitionError
from tests.engine.test_expression_attacks import shape_of


@pytest.mark.parametrize(
    "source",
    [
        "lambda s: s.__class__",
        "lambda s: s[0].__class__",
        "lambda s: exec('1')",
        "lambda s: tuple(s)",
        "lambda s: (s for s in s)",
        "lambda s: s[s[1]]",
        "lambda s: s[1.0]",
        "lambda s: s[True]",
        "lambda s: s[9]",
        "lambda s: s[...]",
        "lambda s: s[0, 1]",
        "lambda s: s[1][0]",
        "lambda s: s[::0]",
        "lambda s: s * 10**9",
        "lambda s: (s[0], 10**9)",
        "lambda s: (s[0], 3 ** 9)",
        "lambda s: (s[0], " + "*".join(["999999999"] * 40) + ")",
        "lambda s: (s[0], " + "9" * 4_000 + ")",
        "lambda s: (s[0], 3.5)",
        "lambda s: (s[0], 4 / 2)",
        "lambda s: (s[0], 4 // 0)",
        "lambda s: (s[0], -3)",
        "lambda s: (s[0], True)",
        "lambda s: (s[0], '3')",
        "lambda s: (s[0], s)",
        "lambda s: s[1] + s",
        "lambda s: ~s[1]",
        "lambda s: not s",
        "lambda s: K.shape(s)",
        "lambda s: t",
        "lambda s: 3",
        "lambda s: None",
        "lambda s: ()",
        "lambda s: (*s,)",
        "lambda s: {1: s}",
        "lambda s: s if s else s",
        "lambda s, t: s",
        "lambda s=1: s",
        "lambda *s: s",
        "lambda: 1",
        "def f(s: exec('1')): return s",
        "def f(s): pass",
        "def f(s):\n  s[0] = 3\n  return s",
        "def f(s):\n  s += s\n  return s",
        "def f(s):\n  import os\n  return s",
        "def f(s):\n" + "  s = s + s\n" * 90 + "  return s",
        "def f(s):\n" + "  s = (s, s)\n" * 90 + "  return s",
        "@exec\ndef f(s): return s",
    ],
    ids=lambda source: source[:60],
)
def test_what_is_no_arithmetic_of_lengths_is_refused_and_not_run(source):
    before = time.thread_time()
    with pytest.raises(DefinitionError) as refusal:
        shape_of(source)
    assert time.thread_time() - before < 1.0
    assert refusal.value.where == "/source"
    assert len(refusal.value.message) < 1_000
