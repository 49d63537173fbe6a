"""A small, safe language for conditions and values: a subset of Python's expressions over plain data.

Allowed are literals (also of lists, tuples, dictionaries and sets), names of the data, ``and``/``or``/``not``, chained
comparisons, ``in``, ``is`` beside None, True or False, arithmetic, ``a if b else c``, ``a[key]``, ``a[1:2]`` and
``a.b``, which means ``a["b"]`` and nothing else: no attribute of any object is ever read. Nothing is called, nothing
loops, and names and attributes that start with an underscore do not exist. ``data`` is the whole of the data, unless
it has an item of that name, so ``"x" in data and data.x > 3`` works where ``x`` may be missing.

An expression is parsed once, checked against a list of allowed nodes, and turned into nested functions; Python's own
compiler never sees it. Operators work on plain data only and refuse everything else by type, since operating on an
object means calling its methods (see `routilux.builtin.operators`, which also limits what they make).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from routilux.builtin.operators import BINARY, COMPARISONS, UNARY, Budget, check_plain, item_of, shown, truth
from routilux.exceptions import RoutiluxError, brief

__all__ = ["Expression", "ExpressionError"]

MAX_LENGTH = 1000
"""Characters in an expression."""

MAX_DEPTH = 50
"""How deep its parts may be nested; ``a + b + c`` counts two."""

MAX_NODES = 300
"""How many parts it may have."""

ALLOWED = (
    "allowed are literals, names of the data, and/or/not, comparisons, 'in', arithmetic, "
    "a[key], a.key and 'a if b else c'"
)
_FAULTS = (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, MemoryError)


class ExpressionError(RoutiluxError, ValueError):
    """An expression is not allowed, or cannot be evaluated with the data at hand.

    Args:
        expression: Its text.
        column: Where in it, from 1; the first line's columns count on through the following ones.
        problem: What is wrong there, and what is allowed.
    """

    def __init__(self, expression: str, column: int, problem: str) -> None:
        """Word the message from its parts."""
        self.expression = expression
        self.column = column
        self.problem = problem
        super().__init__(f"expression {_shortened(expression)}, column {column}: {problem}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle by the parts."""
        return type(self), (self.expression, self.column, self.problem)


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:97]}...")


class Scope(NamedTuple):
    """What one evaluation works with."""

    data: dict[str, Any]
    budget: Budget


Evaluate = Callable[[Scope], Any]


class Expression:
    """An expression, ready to be evaluated any number of times, in any thread.

    Args:
        text: The expression.

    Raises:
        ExpressionError: It is malformed, too long, or uses something that is not allowed.
    """

    __slots__ = ("_evaluate", "_truth", "text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"an expression must be a string, not {brief(text)}")
        self.text = text.strip()
        compiler = _Compiler(self.text)
        body = compiler.parse()
        self._evaluate = compiler.build(body, 0)
        self._truth = compiler.guarded(body, lambda scope: truth(self._evaluate(scope)))

    def evaluate(self, data: Mapping[str, Any]) -> Any:
        """Return the expression's value for ``data``.

        Raises:
            ExpressionError: A name or item is missing, or an operator does not fit its operands or goes over a limit.
        """
        return self._evaluate(_scope(data))

    def test(self, data: Mapping[str, Any]) -> bool:
        """Say whether the expression's value for ``data`` counts as true; errors as for `evaluate`."""
        result: bool = self._truth(_scope(data))
        return result

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def _scope(data: Mapping[str, Any]) -> Scope:
    return Scope(data if type(data) is dict else dict(data), Budget())


class _Compiler:
    """Turns the syntax tree of one text into functions of a scope."""

    def __init__(self, text: str) -> None:
        self._text = text

    def parse(self) -> ast.expr:
        text = self._text
        if len(text) > MAX_LENGTH:
            raise ExpressionError(text, MAX_LENGTH + 1, f"has {len(text)} characters; at most {MAX_LENGTH} are allowed")
        try:
            body = ast.parse(text, mode="eval").body
        except SyntaxError as error:
            raise ExpressionError(text, _column_of(error, text), f"{error.msg}; {ALLOWED}") from None
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            raise ExpressionError(text, 1, f"cannot be read: {str(error) or type(error).__name__}; {ALLOWED}") from None
        count = sum(isinstance(node, ast.expr) for node in ast.walk(body))
        if count > MAX_NODES:
            raise ExpressionError(text, 1, f"has {count} parts; at most {MAX_NODES} are allowed")
        return body

    def build(self, node: ast.expr, depth: int) -> Evaluate:
        if depth > MAX_DEPTH:
            self._refuse(node, f"is nested more than {MAX_DEPTH} deep")
        builder = _BUILDERS.get(type(node))
        if builder is None:
            self._refuse(node, f"{_described(node)} not allowed; {ALLOWED}")
        return builder(self, node, depth + 1)

    def _refuse(self, node: ast.expr, problem: str) -> NoReturn:
        raise ExpressionError(self._text, self._column(node), problem)

    def _column(self, node: ast.expr) -> int:
        # The parser counts bytes, and from the beginning of the line.
        lines = self._text.encode().splitlines(keepends=True)
        before = b"".join(lines[: node.lineno - 1]) + b"".join(lines[node.lineno - 1 : node.lineno])[: node.col_offset]
        return len(before.decode(errors="replace")) + 1

    def guarded(self, node: ast.expr, evaluate: Evaluate) -> Evaluate:
        """Let errors of ``evaluate`` say where in the text they happened."""
        text, column = self._text, self._column(node)

        def guard(scope: Scope) -> Any:
            try:
                return evaluate(scope)
            except ExpressionError:
                raise
            except _FAULTS as error:
                raise ExpressionError(text, column, str(error) or type(error).__name__) from error

        return guard

    # One builder a kind of node

    def constant(self, node: ast.Constant, _depth: int) -> Evaluate:
        value = node.value
        if not (value is None or isinstance(value, bool | int | float | str | bytes)):
            self._refuse(node, f"{value!r} is not allowed; {ALLOWED}")
        return lambda _scope: value

    def name(self, node: ast.Name, _depth: int) -> Evaluate:
        name = node.id
        self._check_name(node, name)

        def look_up(scope: Scope) -> Any:
            if name == "data" and name not in scope.data:
                return scope.data
            return item_of(scope.data, name, scope.budget)

        return self.guarded(node, look_up)

    def _check_name(self, node: ast.expr, name: str) -> None:
        if name.startswith("_"):
            self._refuse(node, f"{name!r} is not allowed: names start with a letter")

    def attribute(self, node: ast.Attribute, depth: int) -> Evaluate:
        self._check_name(node, node.attr)
        value, key = self.build(node.value, depth), node.attr

        def look_up(scope: Scope) -> Any:
            container = value(scope)
            if type(container) is not dict:
                raise TypeError(f"'.{key}' looks up an item of a dictionary, not of a {type(container).__qualname__}")
            return item_of(container, key, scope.budget)

        return self.guarded(node, look_up)

    def subscript(self, node: ast.Subscript, depth: int) -> Evaluate:
        value = self.build(node.value, depth)
        key = self._slice(node.slice, depth) if isinstance(node.slice, ast.Slice) else self.build(node.slice, depth)
        return self.guarded(node, lambda scope: item_of(value(scope), key(scope), scope.budget))

    def _slice(self, node: ast.Slice, depth: int) -> Evaluate:
        parts = [None if part is None else self.build(part, depth) for part in (node.lower, node.upper, node.step)]

        def cut(scope: Scope) -> slice:
            bounds = [None if part is None else part(scope) for part in parts]
            for bound in bounds:
                if bound is not None and type(bound) not in (bool, int):
                    raise TypeError(f"a slice is given by whole numbers, not {shown(bound)}")
            return slice(*bounds)

        return cut

    def boolean(self, node: ast.BoolOp, depth: int) -> Evaluate:
        *first, last = [self.build(value, depth) for value in node.values]
        stop_at = isinstance(node.op, ast.Or)

        def decide(scope: Scope) -> Any:
            for part in first:
                value = part(scope)
                if truth(value) is stop_at:
                    return value
            return last(scope)

        return self.guarded(node, decide)

    def unary(self, node: ast.UnaryOp, depth: int) -> Evaluate:
        apply, operand = UNARY[type(node.op).__name__], self.build(node.operand, depth)
        return self.guarded(node, lambda scope: apply(operand(scope)))

    def binary(self, node: ast.BinOp, depth: int) -> Evaluate:
        apply = BINARY.get(type(node.op).__name__)
        if apply is None:
            self._refuse(node, f"the operator {type(node.op).__name__} is not allowed; {ALLOWED}")
        left, right = self.build(node.left, depth), self.build(node.right, depth)
        return self.guarded(node, lambda scope: apply(left(scope), right(scope), scope.budget))

    def compare(self, node: ast.Compare, depth: int) -> Evaluate:
        operands = [node.left, *node.comparators]
        for index, sign in enumerate(node.ops):
            if isinstance(sign, ast.Is | ast.IsNot) and not any(map(_is_singleton, operands[index : index + 2])):
                self._refuse(node, "'is' is allowed only beside None, True or False; compare values with '=='")
        first = self.build(node.left, depth)
        links = [
            (COMPARISONS[type(sign).__name__], self.build(operand, depth))
            for sign, operand in zip(node.ops, node.comparators, strict=True)
        ]

        def follow(scope: Scope) -> bool:
            left = first(scope)
            for compare, operand in links:
                right = operand(scope)
                if not compare(left, right, scope.budget):
                    return False
                left = right
            return True

        return self.guarded(node, follow)

    def choice(self, node: ast.IfExp, depth: int) -> Evaluate:
        condition, yes, no = (self.build(part, depth) for part in (node.test, node.body, node.orelse))
        return self.guarded(node, lambda scope: yes(scope) if truth(condition(scope)) else no(scope))

    def list_(self, node: ast.List, depth: int) -> Evaluate:
        items = [self.build(item, depth) for item in node.elts]
        return lambda scope: [item(scope) for item in items]

    def tuple_(self, node: ast.Tuple, depth: int) -> Evaluate:
        items = [self.build(item, depth) for item in node.elts]
        return lambda scope: tuple([item(scope) for item in items])

    def set_(self, node: ast.Set, depth: int) -> Evaluate:
        items = [self.build(item, depth) for item in node.elts]
        return self.guarded(node, lambda scope: {_hashed(item(scope), scope) for item in items})

    def dict_(self, node: ast.Dict, depth: int) -> Evaluate:
        pairs: list[tuple[Evaluate, Evaluate]] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                self._refuse(node, f"'**' is not allowed; {ALLOWED}")
            pairs.append((self.build(key, depth), self.build(value, depth)))
        return self.guarded(node, lambda scope: {_hashed(key(scope), scope): value(scope) for key, value in pairs})


def _column_of(error: SyntaxError, text: str) -> int:
    if not error.offset or not error.lineno:
        return len(text) + 1  # where something is missing
    return sum(map(len, text.splitlines(keepends=True)[: error.lineno - 1])) + error.offset


def _is_singleton(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool))


def _hashed(value: Any, scope: Scope) -> Any:
    check_plain(value, scope.budget)
    return value


def _described(node: ast.expr) -> str:
    return _DESCRIPTIONS.get(type(node), f"'{type(node).__name__}' is")


_DESCRIPTIONS: Mapping[type, str] = {
    ast.Call: "calls are",
    ast.Lambda: "'lambda' is",
    ast.ListComp: "comprehensions are",
    ast.SetComp: "comprehensions are",
    ast.DictComp: "comprehensions are",
    ast.GeneratorExp: "generator expressions are",
    ast.JoinedStr: "f-strings are",
    ast.NamedExpr: "':=' is",
    ast.Starred: "'*' before a value is",
    ast.Await: "'await' is",
    ast.Yield: "'yield' is",
    ast.YieldFrom: "'yield' is",
}

_BUILDERS: Mapping[type, Callable[[_Compiler, Any, int], Evaluate]] = {
    ast.Constant: _Compiler.constant,
    ast.Name: _Compiler.name,
    ast.Attribute: _Compiler.attribute,
    ast.Subscript: _Compiler.subscript,
    ast.BoolOp: _Compiler.boolean,
    ast.UnaryOp: _Compiler.unary,
    ast.BinOp: _Compiler.binary,
    ast.Compare: _Compiler.compare,
    ast.IfExp: _Compiler.choice,
    ast.List: _Compiler.list_,
    ast.Tuple: _Compiler.tuple_,
    ast.Set: _Compiler.set_,
    ast.Dict: _Compiler.dict_,
}
