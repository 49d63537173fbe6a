"""The expression language: what it means, what it refuses, and that it runs nobody's code."""

from __future__ import annotations

import ast
import contextlib
import math
import pickle
import time
import warnings
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routilux.builtin import Expression, ExpressionError, operators
from routilux.builtin import expression as language

DATA = {
    "a": 3,
    "b": -2.5,
    "s": "text",
    "flag": True,
    "nothing": None,
    "xs": [1, 2, 3],
    "d": {"k": 1, "in": {"deep": [10, 20]}, "items": 7},
    "t": (1, "x"),
    "u": {1, 2},
    "raw": b"ab",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + 1", 4),
        ("a > 2 and s == 'text'", True),
        ("1 < a < 4", True),
        ("1 < a < 2 < nonsense", False),
        ("nothing or 'none'", "none"),
        ("a and 0", 0),
        ("not xs", False),
        ("s if flag else nonsense", "text"),
        ("d.k", 1),
        ("d.items", 7),
        ("d['in'].deep[-1]", 20),
        ("xs[1:]", [2, 3]),
        ("s[::-1]", "txet"),
        ("2 in xs", True),
        ("'ex' in s", True),
        ("'k' in d", True),
        ("'zz' not in d", True),
        ("nothing is None", True),
        ("a is not None", True),
        ("a // 2 + a % 2 - a / 2", 0.5),
        ("2 ** 10", 1024),
        ("1 << 4 | 1", 17),
        ("~a & 7 ^ 1", 5),
        ("u & {2, 9}", {2}),
        ("{'x': a, **{}}" if False else "{'x': a} | {'y': 1}", {"x": 3, "y": 1}),
        ("[a, (a, s), {a}]", [3, (3, "text"), {3}]),
        ("s * 2 + '!'", "texttext!"),
        ("raw + b'c'", b"abc"),
        ("data.a", 3),
        ("'x' in data and data.x > 3", False),
        (" a\t", 3),
        ("(a +\n 1)", 4),
        ("'' or []", []),
    ],
)
def test_expressions_mean_what_they_mean_in_python(text, value):
    """Operators, chains, short circuits and look-ups are Python's; ``a.b`` looks up ``a["b"]``."""
    result = Expression(text).evaluate(DATA)
    assert (result, type(result)) == (value, type(value))


def test_data_is_the_item_of_that_name_where_there_is_one():
    """``data`` names the whole only if nothing is called so."""
    assert Expression("data").evaluate({"data": 1}) == 1
    assert Expression("data").evaluate({"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("a.__class__", 1, "'__class__' is not allowed: names start with a letter"),
        ("a._x", 1, "'_x' is not allowed"),
        ("__import__", 1, "'__import__' is not allowed"),
        ("1 + f(2)", 5, "calls are not allowed; allowed are literals"),
        ("lambda: 1", 1, "'lambda' is not allowed"),
        ("[x for x in a]", 1, "comprehensions are not allowed"),
        ("{x for x in a}", 1, "comprehensions are not allowed"),
        ("{x: 1 for x in a}", 1, "comprehensions are not allowed"),
        ("(x for x in a)", 1, "generator expressions are not allowed"),
        ("f'{a}'", 1, "f-strings are not allowed"),
        ("(a := 1)", 2, "':=' is not allowed"),
        ("[*a]", 2, "'*' before a value is not allowed"),
        ("{**a}", 1, "'**' is not allowed"),
        ("a @ b", 1, "the operator MatMult is not allowed"),
        ("1j", 1, "1j is not allowed"),
        ("...", 1, "Ellipsis is not allowed"),
        ("a is 1", 1, "'is' is allowed only beside None, True or False"),
        ("a +", 4, "invalid syntax"),
        ("a = 1", 3, "allowed are"),
        ("", 1, "allowed are"),
        ("a; b", 2, "invalid syntax"),
        ("'ä' + f(1)", 7, "calls are not allowed"),
        ("(a +\nf(1))", 6, "calls are not allowed"),
        ("a\x00", None, "allowed are"),
        ("'\ud800'", None, "allowed are"),
        ("1+" * 600 + "1", 1001, "has 1201 characters; at most 1000 are allowed"),
        ("1" + "+1" * 60, None, "nested more than 50 deep"),
        ("-" * 900 + "1", 1, "has 901 parts; at most 300 are allowed"),
        ("-" * 60 + "1", 52, "nested more than 50 deep"),
        ("(" * 400 + ")" * 400, None, "allowed are"),
        ("[" + "1," * 400 + "]", 1, "has 401 parts; at most 300 are allowed"),
    ],
)
def test_what_is_not_allowed_is_refused_when_the_expression_is_made(text, column, problem):
    """The message names the expression, the column, what is wrong and what is allowed."""
    with pytest.raises(ExpressionError) as caught:
        Expression(text)
    assert problem in str(caught.value)
    assert column in (None, caught.value.column)
    assert str(caught.value).startswith("expression ")
    assert f"column {caught.value.column}: " in str(caught.value)


@pytest.mark.parametrize("line", ["\uff3f", "\ufe33", "\ufe4d"])
def test_names_cannot_be_made_to_start_with_an_underscore_by_normalization(line):
    """Python takes some other characters for an underscore once it reads a name."""
    with pytest.raises(ExpressionError):
        Expression(f"a.{line}{line}class{line}{line}")


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("1 + missing", 5, "there is no 'missing'; there are: 'a', 'b'"),
        ("d.zz", 1, "there is no 'zz'; there are: 'k', 'in', 'items'"),
        ("a.b", 1, "'.b' looks up an item of a dictionary, not of a int"),
        ("xs.append", 1, "'.append' looks up an item of a dictionary, not of a list"),
        ("xs[9]", 1, "out of range"),
        ("xs['a']", 1, "looked up by a whole number, not 'a'"),
        ("a[0]", 1, "a int has no items to look up"),
        ("xs['a':]", 1, "a slice is given by whole numbers, not 'a'"),
        ("xs[::0]", 1, "slice step cannot be zero"),
        ("d[[]]", 1, "unhashable"),
        ("{[]}", 1, "unhashable"),
        ("a / 0", 1, "division by zero"),
        ("s % a", 1, "'%' does not take str and int"),
        ("'%s' % (a,)", 1, "'%' does not take str and tuple"),
        ("s + a", 1, "'+' does not take str and int"),
        ("s < a", 1, "not supported"),
        ("-s", 1, "'-' does not take str"),
        ("b << 1", 1, "'<<' does not take float and int"),
        ("1 << -1", 1, "negative shift"),
        ("2 ** 5000", 1, "more than 4096 bits"),
        ("9 ** 9 ** 9", 1, "more than 4096 bits"),
        ("1 << 100000000", 1, "more than 4096 bits"),
        ("(-8) ** 0.5", 1, "complex number"),
        ("2.0 ** 5000", 1, "out of range"),
        ("s * 1000000", 1, "would make 4000000 items; at most 100000"),
        ("[0] * 100000 + [0]", 1, "would make 100001 items"),
        ("2 ** 4000 * 2 ** 4000", 1, "more than 4096 bits"),
    ],
)
def test_what_cannot_be_evaluated_is_named(text, column, problem):
    """An error of evaluation says where in the expression it happened, and why."""
    with pytest.raises(ExpressionError) as caught:
        Expression(text).evaluate(DATA)
    assert problem in str(caught.value)
    assert caught.value.column == column


def test_an_expression_must_be_a_string():
    """Anything else is a TypeError."""
    with pytest.raises(TypeError, match="an expression must be a string, not 3"):
        Expression(3)


def test_an_error_survives_copying():
    """An error that travels between processes keeps its parts."""
    with pytest.raises(ExpressionError) as caught:
        Expression("f()")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.column) == (str(caught.value), 1)


SPRUNG = []
"""What was called of any trap, lest somebody swallow the exception."""


class Trap:
    """Whoever operates on it, or looks into it, is caught."""

    def __getattribute__(self, name):
        SPRUNG.append(name)
        raise AssertionError(f"the expression read {name}")


def _spring(name):
    def method(self, *args):
        SPRUNG.append(name)
        raise AssertionError(f"the expression called {name}")

    return method


OPERATORS = ["add", "sub", "mul", "mod", "pow", "and", "or", "xor", "lshift", "rshift", "truediv", "floordiv"]
OTHERS = [
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "hash",
    "bool",
    "len",
    "iter",
    "contains",
    "getitem",
    "call",
    "neg",
    "pos",
    "invert",
    "index",
    "int",
    "float",
    "str",
    "repr",
    "next",
]
for _name in [*OTHERS, *OPERATORS, *(f"r{name}" for name in OPERATORS)]:
    setattr(Trap, f"__{_name}__", _spring(_name))


class ListTrap(list):
    __eq__ = __contains__ = __iter__ = __len__ = __getitem__ = __add__ = __mul__ = _spring(
        "a method of a list's subclass"
    )
    __hash__ = None


class DictTrap(dict):
    __eq__ = __contains__ = __iter__ = __len__ = __getitem__ = __or__ = get = _spring("a method of a dict's subclass")
    __hash__ = None


class StrTrap(str):
    __eq__ = __len__ = __add__ = __mul__ = __contains__ = __mod__ = _spring("a method of a string's subclass")
    __hash__ = str.__hash__


class IntTrap(int):
    __eq__ = __add__ = __radd__ = __lt__ = __bool__ = __index__ = _spring("a method of a number's subclass")
    __hash__ = int.__hash__


TRAPS = {
    "trap": Trap(),
    "list": ListTrap([1]),
    "dict": DictTrap(k=1),
    "str": StrTrap("x"),
    "int": IntTrap(1),
    "nested": [1, {"deep": (Trap(),)}],
}


FORMS = [
    "X == 1",
    "1 == X",
    "X != X",
    "X < 1",
    "1 >= X",
    "X in [1]",
    "X in {1: 2}",
    "1 in X",
    "'k' in X",
    "X not in (1, 2)",
    "{X}",
    "{X: 1}",
    "X and 1",
    "X or 1",
    "not X",
    "1 if X else 2",
    "X + 1",
    "1 + X",
    "X * 2",
    "2 * X",
    "X % 2",
    "X ** 2",
    "2 ** X",
    "-X",
    "~X",
    "X << 1",
    "X & {1}",
    "X ",
    " {'a': 1}",
    "X[0]",
    "X['k']",
    "X.k",
    "[1, 2][X]",
    "[1, 2][X:]",
    "{1: 2}[X]",
    "[X] == [1]",
    "(1, X) < (1, 2)",
    "X == X",
    "[X] in [[1]]",
    "{'a': X} == {'a': 1}",
]


@pytest.mark.parametrize("name", TRAPS)
@pytest.mark.parametrize("form", FORMS)
def test_no_operator_touches_what_is_not_plain_data(name, form):
    """No method of any object is called, also not of subclasses of plain types, or of what is inside lists."""
    with contextlib.suppress(ExpressionError):
        Expression(form).evaluate({"X": TRAPS[name]})
    assert SPRUNG == []


def test_the_traps_work():
    """Whoever does operate on one is caught, also if the exception is swallowed."""
    for trap in (TRAPS["trap"], TRAPS["list"], TRAPS["dict"], TRAPS["str"], TRAPS["int"]):
        with contextlib.suppress(AssertionError):
            _ = trap == 1
    assert len(SPRUNG) == 5


def test_values_that_are_not_plain_pass_through_untouched():
    """An expression may hand on what it may not look into."""
    trap = Trap()
    assert Expression("[x, 1][0] if x is not None else 2").evaluate({"x": trap}) is trap
    assert Expression("'x' in data").test({"x": trap}) is True


def test_keys_are_plain_too():
    """A key with an ``__eq__`` of its own, and the hash of a word, is not compared with the word."""

    class Key:
        def __hash__(self):
            return hash("k")

        __eq__ = _spring("eq")

    for text in ("d.k", "d['k']", "'k' in d"):
        with pytest.raises(ExpressionError, match=r"a .*Key is not plain data"):
            Expression(text).evaluate({"d": {Key(): 1}})


def test_data_that_contains_itself_ends():
    """Neither a cycle nor a structure that unfolds to something huge keeps a comparison going."""
    ring = []
    ring.append(ring)
    wide = [0]
    for _ in range(60):
        wide = [wide, wide]
    began = time.perf_counter()
    for value in (ring, wide):
        with pytest.raises(ExpressionError, match="more than 1000000 items, or at data that contains itself"):
            Expression("x == x").evaluate({"x": value})
    assert time.perf_counter() - began < 5


# Generated expressions: hypothesis draws a seed and a size, from which many are made; to draw each part is slow.

PER_EXAMPLE = 20
NAMES = sorted(DATA)
LITERALS = [
    "None",
    "True",
    "False",
    "0",
    "1",
    "-3",
    "50",
    "2.5",
    "-0.0",
    "1e300",
    "''",
    "'ab'",
    "'\u00e9'",
    "b''",
    "b'a'",
    "[]",
    "()",
    "{}",
]
HOSTILE = [
    "().__class__.__bases__[0].__subclasses__()",
    "__import__('os').system('true')",
    "a.__init__",
    "s.format(a)",
    "'{0.__class__}'.format(a)",
    "'%s' % a",
    "[x for x in xs]",
    "(lambda: 1)()",
    "9 ** 9 ** 9 ** 9",
    "1 << 10 ** 9",
    "'x' * 10 ** 9",
    "[[0] * 1000] * 1000",
    "f'{a!r:>1000000000}'",
    "(y := 1)",
    "print(1)",
    "{**d}",
    "[*xs]",
    "d.__len__",
    "xs.append(1)",
    "await a",
    "yield",
    "a._b",
    "trap.anything",
    "trap",
    "trap == 1",
    "trap[0]",
    "{trap: trap}",
    "[trap] + [trap]",
]
SIGNS = [
    "+",
    "-",
    "*",
    "/",
    "//",
    "%",
    "**",
    "<<",
    ">>",
    "&",
    "|",
    "^",
    "and",
    "or",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "in",
    "is",
    "@",
    "not in",
    "is not",
]
FORMS_OF_TWO = [
    "{}[{}]",
    "{}[{}:]",
    "{}[:{}]",
    "[{}, {}]",
    "({}, {})",
    "{{{}, {}}}",
    "{{{}: {}}}",
    "({} < 3 < {})",
    "({} in xs == {})",
]
FORMS_OF_ONE = [
    "(not {})",
    "(-{})",
    "(+{})",
    "(~{})",
    "({}).k",
    "({}).items",
    "({}).real",
    "({}).__class__",
    "({} is None)",
]
SCRAPS = "().[]{}_*\"'\\ax0,:;=\n\t\u00e9"


def grammatical(random, depth, hostile=0.0):
    """An expression out of the grammar, with hostile parts here and there."""
    if random.random() < hostile:
        return random.choice(HOSTILE)
    if depth == 0 or random.random() < 0.15:
        return random.choice(NAMES if random.random() < 0.5 else LITERALS)
    inner = [grammatical(random, depth - 1, hostile) for _ in range(3)]
    kind = random.random()
    if kind < 0.5:
        return f"({inner[0]} {random.choice(SIGNS)} {inner[1]})"
    if kind < 0.7:
        return random.choice(FORMS_OF_TWO).format(*inner)
    return "({} if {} else {})".format(*inner) if kind < 0.8 else random.choice(FORMS_OF_ONE).format(*inner)


def hostile(random, depth):
    return grammatical(random, depth, hostile=0.15)


def mutilated(random, depth):
    text = grammatical(random, depth)
    at, scraps = random.randint(0, len(text)), "".join(random.choices(SCRAPS, k=random.randint(0, 3)))
    return text[:at] + scraps + text[at + random.randint(0, 3) :]


def gibberish(random, depth):
    return "".join(random.choices(SCRAPS + "bcdefs1289+-*/%<>!&|^~ ", k=depth * 10))


def sampled(make, seed, depth):
    random = Random(seed)
    return [make(random, depth) for _ in range(PER_EXAMPLE)]


class _AttributesAreItems(ast.NodeTransformer):
    """Python's own meaning of ``a["b"]`` for ``a.b``."""

    def visit_Attribute(self, node):
        self.generic_visit(node)
        return ast.copy_location(ast.Subscript(node.value, ast.Constant(node.attr), node.ctx), node)


def pythons_own(text, data):
    """What Python makes of an expression that was allowed."""
    tree = ast.fix_missing_locations(_AttributesAreItems().visit(ast.parse(text.strip(), mode="eval")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd literals: it is the meaning that counts here
        return eval(compile(tree, "expression", "eval"), {"__builtins__": {}}, {"data": data, **data})


def same(left, right):
    """Equal and of one type, at any depth; not a number is the same as itself."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def check(text):
    """Evaluate a text; it means what it means in Python, or it is an ExpressionError."""
    trap = Trap()
    data = {**DATA, "trap": trap}
    try:
        result = Expression(text).evaluate(data)
    except ExpressionError:
        return False
    finally:
        assert SPRUNG == [], text
    if "trap" not in text:
        assert same(result, pythons_own(text, data)), text
    return True


@pytest.fixture(autouse=True)
def _all_traps_are_set():
    SPRUNG.clear()


@pytest.mark.parametrize("make", [grammatical, hostile, mutilated, gibberish])
@settings(max_examples=160, database=None)
@given(seed=st.integers(0, 2**32), depth=st.integers(1, 4))
def test_generated_expressions_mean_what_they_mean_in_python_or_are_refused(make, seed, depth):
    """Four times 3,200 expressions: well-formed, hostile, mutilated and senseless; none calls or hangs."""
    for text in sampled(make, seed, depth):
        check(text)


@settings(max_examples=200, database=None)
@given(st.text(max_size=40))
def test_any_text_is_refused_or_means_what_it_says(text):
    """Text of any characters at all."""
    check(text)


def test_the_generated_expressions_are_not_all_refused():
    """The comparison with Python compares something: a good part of the generated expressions has a value."""
    worked = [check(text) for depth in range(1, 5) for text in sampled(grammatical, depth, depth)]
    assert sum(worked) > len(worked) / 4


def test_every_allowed_node_and_operator_has_a_builder():
    """All of Python's operators are either in a table or refused by name; nothing falls through."""
    binary = {cls.__name__ for cls in ast.operator.__subclasses__()}
    assert binary - set(operators.BINARY) == {"MatMult"}
    assert {cls.__name__ for cls in ast.cmpop.__subclasses__()} == set(operators.COMPARISONS)
    assert {cls.__name__ for cls in ast.unaryop.__subclasses__()} == set(operators.UNARY)
    assert all(issubclass(kind, ast.expr) for kind in language._BUILDERS)
