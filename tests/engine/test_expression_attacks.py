"""A custom loss or metric is a stranger's text: it is read or refused, quickly, and never run."""

import random
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import BadArgument, DefinitionError, TooLarge, UnknownName
from engine.expressions import read_expression
from engine.expressions.shape_functions import ShapeFunction
from engine.expressions.shapes import infer
from engine.expressions.written import Function
from tests.engine.test_expressions import FALSE_RATES, MEAN_PRED, read


def refused(source):
    with pytest.raises(DefinitionError) as refusal:
        read(source)
    assert refusal.value.where == "/source"
    return refusal.value


def lambda_of(source, arguments=(("y_pred", 2),)):
    """Read a function of one tensor and tell its shape."""
    return infer(Function.read({"source": source}).expression(arguments), (None, None, 3))


def mode_of(source):
    """Read a function of a list of tensors and tell its shape."""
    return infer(Function.read({"source": source}).expression((("y_pred", 2),), True), ((None, 3),) * 2, True)


def shape_of(source):
    """Read and apply a function of a shape."""
    return ShapeFunction.read({"source": source}).of((None, 3))


ENTRIES = (read, lambda_of, mode_of, shape_of)


# -- what it may be -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "().__class__.__bases__[0].__subclasses__()",
        "lambda a, b: ().__class__.__bases__[0].__subclasses__()",
        "lambda a, b: a.__class__",
        "lambda a, b: '{0.__class__}'.format(a)",
        "lambda a, b: (x for x in a).gi_frame",
        "lambda a, b: [x for x in a]",
        "lambda a, b: {x: a for x in b}",
        "lambda a, b: b.numpy()",
        "lambda a, b: b.data",
        "lambda a, b: K",
        "lambda a, b: K.mean",
        "lambda a, b: K.__class__(b)",
        "lambda a, b: K.mean.__globals__",
        "lambda a, b: K.os.system(b)",
        "lambda a, b: (lambda: b)()",
        "lambda a, b: lambda c: b",
        "lambda a, b: K.mean(lambda: b)",
        "lambda a, b: exec('1')",
        "lambda a, b: eval('1')",
        "lambda a, b: open('/etc/passwd')",
        "lambda a, b: __import__('os')",
        "lambda a, b: getattr(a, 'data')",
        "lambda a, b: (c := b)",
        "lambda a, b: f'{b}'",
        "lambda a, b: 'text'",
        "lambda a, b: b'text'",
        "lambda a, b: 'a' * 10**10",
        "lambda a, b: 9**9**9",
        "lambda a, b: b * 10.0**31",
        "lambda a, b: b * 1e31",
        "lambda a, b: b * 1e999",
        "lambda a, b: b * (1 / 0)",
        "lambda a, b: b * (-2) ** 0.5",
        "lambda a, b: b * 1j",
        "lambda a, b: " + "9" * 5_000,
        "lambda a, b: True",
        "lambda a, b: None",
        "lambda a, b: ...",
        "lambda a, b: b if a else b",
        "lambda a, b: a and b",
        "lambda a, b: not b",
        "lambda a, b: ~b",
        "lambda a, b: a @ b",
        "lambda a, b: a << b",
        "lambda a, b: 0 < b < 1",
        "lambda a, b: a in b",
        "lambda a, b: a is b",
        "lambda a, b: (a, b)",
        "lambda a, b: [a, b]",
        "lambda a, b: {a, b}",
        "lambda a, b: {}",
        "lambda a, b: {**a}",
        "lambda a, b: {1: a}",
        "lambda a, b: {a: b}",
        "lambda a, b: {'x': b, 'x': b}",
        "lambda a, b: {'x/y': b}",
        "lambda a, b: {'val_x': b}",
        "lambda a, b: {'': b}",
        "lambda a, b: {'x': {'y': b}}",
        "lambda a, b: K.mean({'x': b})",
        "lambda a, b: b[a]",
        "lambda a, b: b[a > 0]",
        "lambda a, b: b[10**20]",
        "lambda a, b: b[99999999999999999999]",
        "lambda a, b: b[1:99999999999999999999]",
        "lambda a, b: b[::-1]",
        "lambda a, b: b[0.5]",
        "lambda a, b: b[True]",
        "lambda a, b: b['x']",
        "lambda a, b: b[None]",
        "lambda a, b: b[..., ...]",
        "lambda a, b: b[()]",
        "lambda a, b: b[*a]",
        "lambda a, b: 3[0]",
        "lambda a, b: b()",
        "lambda a, b: K.mean(*a)",
        "lambda a, b: K.mean(**a)",
        "lambda a, b: K.mean()",
        "lambda a, b: K.mean(b, 0, True, 1)",
        "lambda a, b: K.mean(b, x=b)",
        "lambda a, b: K.mean(a, dtype='float64')",
        "lambda a, b: K.mean(b, axes=0)",
        "lambda a, b: K.mean(b, axis=b)",
        "lambda a, b: K.mean(b, axis=99)",
        "lambda a, b: K.mean(b, axis=0.5)",
        "lambda a, b: K.mean(b, axis=[0, 0])",
        "lambda a, b: K.mean(b, axis='0')",
        "lambda a, b: K.mean(b, keepdims=1)",
        "lambda a, b: K.cast(b, 'object')",
        "lambda a, b: K.cast(b, '__class__')",
        "lambda a, b: K.cast(b, dtype=b)",
        "lambda a, b: K.clip(b, 0, b)",
        "lambda a, b: K.concatenate(b)",
        "lambda a, b: K.concatenate([])",
        "lambda a, b: K.in_top_k(a, b, 0)",
        "lambda a, b: K.epsilon(1)",
        "lambda a, b: K.function([a], [b])",
        "lambda a, b: K.get_session()",
        "lambda a, b: K.variable(a)",
        "lambda a, b: c",
        "lambda a: a",
        "lambda a, b, c: a",
        "lambda a, a: a",
        "lambda a, K: K.mean(a)",
        "lambda *a: a",
        "lambda a, b, *c: a",
        "lambda a, b, **c: a",
        "lambda a, *, b: a",
        "lambda a, b=open('/etc/passwd'): a",
        "def f(a, b=exec('1')): return b",
        "def f(a: exec('1'), b): return b",
        "def f(a, b) -> exec('1'): return b",
        "@exec\ndef f(a, b): return b",
        "async def f(a, b): return b",
        "class f: pass",
        "def f(a, b): pass",
        "def f(a, b): return",
        "def f(a, b): yield b",
        "def f(a, b):\n  'only a docstring'",
        "def f(a, b):\n  'one'\n  'two'\n  return b",
        "def f(a, b):\n  return b\n  return a",
        "def f(a, b):\n  try:\n    return a\n  except: return b",
        "def f(a, b):\n  raise SystemExit",
        "def f(a, b):\n  import os\n  return b",
        "def f(a, b):\n  global c\n  return b",
        "def f(a, b):\n  while 1: pass\n  return b",
        "def f(a, b):\n  for x in a: pass\n  return b",
        "def f(a, b):\n  with a: pass\n  return b",
        "def f(a, b):\n  del a\n  return b",
        "def f(a, b):\n  assert a\n  return b",
        "def f(a, b):\n  def g(): pass\n  return b",
        "def f(a, b):\n  c = d = a\n  return b",
        "def f(a, b):\n  c, d = a\n  return b",
        "def f(a, b):\n  a[0] = b\n  return b",
        "def f(a, b):\n  a.data = b\n  return b",
        "def f(a, b):\n  a += b\n  return b",
        "def f(a, b):\n  c: int = b\n  return b",
        "def f(a, b):\n  K = b\n  return b",
        "def f(a, b):\n  c = d\n  d = b\n  return b",
        "def f(a, b):\n  a.backward()\n  return b",
        "import os",
        "import keras.backend as K\ndef f(a, b): return b",
        "exec('1')",
        "1",
        "",
        "   ",
        "# nothing",
        "lambda a, b: a; lambda a, b: b",
        "raise SystemExit",
        "lambda a, b: \u212a.mean(b)",  # the sign of a Kelvin is no K
        "lambda a, b: K.me\u0430n(b)",
        "lambda \uff41, b: b",
        "lambda a, b: b\x00",
        "\x00",
        "\ufefflambda a, b: b",
        "\ud800",
        "lambda a, b: \x0cb",
        "lambda a, b: '\\d'",
        "lambda a, b: 1if b else 2",
        "(" * 10_000,
        "(" * 5_000 + ")" * 5_000,
        "lambda a, b: " + "-" * 9_000 + "b",
        "lambda a, b: " + "not " * 2_400 + "b",
        "lambda a, b: " + "+".join("b" * 4_900),
        "lambda a, b: " + "**".join("9" * 4_900),
        "lambda a, b: " + "<".join("b" * 4_900),
        "lambda a, b: b" + "[0]" * 3_000,
        "lambda a, b: b" + "()" * 4_900,
        "lambda a, b: b" + ".a" * 4_900,
        "lambda a, b: " * 700 + "1",
        "lambda a, b: K.concatenate([" + "b," * 600 + "])",
        "{a:" * 90,
        "(" * 99 + "b b" + ")" * 99,
        "[{(" * 33 + "a:" + ")}]" * 33,
        "f(a=" * 99 + "b b" + ")" * 99,
        "@a\n" * 3_000,
        "(#)\n" * 2_400,
        "lambda a, b: b" + " " * 10_000,
    ],
    ids=lambda source: source[:60].encode("unicode_escape").decode(),
)  # fmt: skip
def test_what_is_not_arithmetic_is_refused_and_not_run(source):
    before = time.thread_time()
    error = refused(source)
    assert time.thread_time() - before < 1.0
    assert len(error.message) < 1_000


@pytest.mark.parametrize("source", [None, 3, ["lambda a, b: b"], {"x": 1}, b"lambda a, b: b"])
def test_a_source_that_is_no_text_is_refused(source):
    assert isinstance(refused(source), BadArgument)


def test_a_refusal_tells_line_and_column_and_what_is_allowed():
    assert refused("def f(a, b):\n  c = a\n  return c.numpy").message.startswith("Line 3, column 10: An attribute")
    assert "K's functions" in refused("lambda a, b: open").message
    misspelt = refused("lambda a, b: K.maen(b)")
    assert isinstance(misspelt, UnknownName)
    assert "Did you mean 'mean'?" in misspelt.message
    assert "500 parts" in refused("lambda a, b: K.concatenate([" + "b," * 600 + "])").message
    assert isinstance(refused("x" * 10_001), TooLarge)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"name": "f"}, ""),
        ({"name": "f", "source": "lambda a, b: b", "code": 1}, ""),
        ({"name": "a/b", "source": "lambda a, b: b"}, "/name"),
        ({"name": "val_f", "source": "lambda a, b: b"}, "/name"),
        ({"name": 3, "source": "lambda a, b: b"}, "/name"),
        ({"source": "lambda a, b: b"}, "/source"),
        ({"source": "def val_f(a, b): return b"}, "/source"),
    ],
)
def test_a_custom_function_has_a_text_and_a_name(value, where):
    with pytest.raises(BadArgument) as refusal:
        read_expression(value)
    assert refusal.value.where == where


def test_reading_needs_no_torch():
    code = (
        "import sys; from engine.compiled import Compile; "
        "Compile('sgd', {'source': 'lambda a, b: K.mean(K.square(a - b))'}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- any text at all ----------------------------------------------------------------------------

WORDS = [
    *"()[]{}:,.=+-*/%@<>!&|^~#\\\"'\n\t ;", "lambda y_true, y_pred: ", "def f(y_true, y_pred):\n  ", "return ",
    "y_true", "y_pred", "K.mean(", "K.square(", "K.", "K", "**", "//", "==", ":=", "->", "...", "0", "1", "9" * 9,
    "1e9", "1e309", "0x", "1j", "_", "__class__", "axis=-1", "keepdims=True", "None", "if ", " else ", " for ",
    " in ", "not ", "await ", "yield ", "async ", "import ", "try:\n", "with ", "*",
    "f'{", "b''", "'x'", "[:, 0]", "\r", "\0", "é", "\u212a",
]  # fmt: skip


def hurry(sources, most, entry=read):
    """Read each text in little time of a processor; a search for garbage may come in between, but not 1 in 1,000."""
    slow, wheres = 0, set()
    for source in sources:
        before = time.thread_time()
        try:
            entry(source)
        except DefinitionError as error:
            wheres.add(error.where)
        slow += time.thread_time() - before > 0.05
    assert slow <= most
    assert wheres <= ({"/source"} if entry in (read, shape_of) else {"", "/source"})


def texts(count, seed):
    rng = random.Random(seed)
    for index in range(count):
        words = rng.choices(WORDS, k=rng.choice((3, 10, 30, 300)))
        start = rng.choice(("", "lambda y_true, y_pred: ", "def f(y_true, y_pred):\n  return "))
        text = start + "".join(words)
        yield text * rng.choice((1, 1, 1, 20)) if index % 10 else mutated(rng)


def mutated(rng):
    text = list(
        rng.choice((MEAN_PRED, FALSE_RATES, "lambda y_true, y_pred: K.mean(K.square(y_true - y_pred), axis=-1)"))
    )
    for _ in range(rng.randint(1, 5)):
        text[rng.randrange(len(text))] = rng.choice(WORDS)
    return "".join(text)


@pytest.mark.parametrize("entry", ENTRIES)
def test_two_thousand_random_texts_are_read_or_refused_at_once(entry):
    hurry(texts(2_000, seed=1), most=5, entry=entry)


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_hundred_thousand_random_texts_are_read_or_refused_at_once(entry):
    hurry(texts(100_000, seed=2), most=100, entry=entry)


LONGEST = [
    "lambda x: " + " + ".join(["K.abs(x)"] * 120),
    "def f(x):\n" + "  x = K.concatenate([x, x])\n" * 90 + "  return x",
    "def f(x):\n" + "  x = K.batch_dot(x, x, axes=2)\n" * 90 + "  return x",
    "lambda x: K.concatenate([" + "x," * 450 + "])",
    "lambda x: x" + "[:, 1:]" * 45,
]


@pytest.mark.parametrize("source", LONGEST, ids=lambda source: source[:40])
def test_the_shape_of_the_longest_texts_is_told_at_once(source):
    lambda_of("lambda x: x", ())
    times = []
    for _ in range(3):
        before = time.thread_time()
        with suppress(DefinitionError):
            lambda_of(source, ())
        times.append(time.thread_time() - before)
    assert min(times) < 0.05


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=200) | st.lists(st.sampled_from(WORDS), max_size=40).map("".join))
def test_any_text_is_read_or_refused(source):
    hurry([source], most=1)
