"""The small faults that can be put into a module: a pure function of its text.

Left as they are: annotations, decorators, assertions, docstrings and the words of messages.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
BODIES = "body", "orelse", "finalbody"


class Mutant(NamedTuple):
    """A module with one fault in it."""

    line: int
    change: str  # `before -> after`, the lines of code that differ
    source: str  # of the whole module


class _Fault(NamedTuple):
    line: int
    put: Callable[[], object]  # into the tree that it was found in


def mutants_of(source: str) -> list[Mutant]:
    """Every mutant of a module in the order of its lines, each with one fault; none twice."""
    plain = ast.unparse(ast.parse(source))
    found: dict[str, Mutant] = {}
    for number in range(len(_faults(ast.parse(source)))):
        tree = ast.parse(source)  # anew, because a fault is put into it
        fault = _faults(tree)[number]
        fault.put()
        mutated = ast.unparse(ast.fix_missing_locations(tree))
        if mutated != plain:
            found.setdefault(mutated, Mutant(fault.line, _difference(plain, mutated), mutated))
    return sorted(found.values(), key=lambda mutant: mutant.line)


def _difference(before: str, after: str) -> str:
    lines = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "-+"]
    sides = ([line[1:].strip() for line in lines if line.startswith(sign)] for sign in "-+")
    return " -> ".join(" ".join(side) for side in sides)


def _faults(tree: ast.Module) -> list[_Fault]:
    return [fault for node in _living(tree) for fault in (*_of_expression(node), *_of_statements(node))]


def _living(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below which there may be faults."""
    left_out: list[ast.AST | None] = []
    if isinstance(node, ast.Assert | ast.JoinedStr):
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        left_out = [node.returns, *node.decorator_list]
    elif isinstance(node, ast.ClassDef):
        left_out = [*node.decorator_list]
    elif isinstance(node, ast.AnnAssign | ast.arg):
        left_out = [node.annotation]
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        if not any(child is each for each in left_out) and not _is_docstring(child):
            yield from _living(child)


def _of_expression(node: ast.AST) -> Iterator[_Fault]:
    match node:
        case ast.Compare(ops=operators):
            for place, operator in enumerate(operators):
                for other in COMPARISONS[type(operator)]:
                    yield _item(node, operators, place, other())
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator) if type(operator) in OPERATORS:
            yield _field(node, "op", OPERATORS[type(operator)]())
        case ast.BoolOp(op=operator):
            yield _field(node, "op", ast.Or() if isinstance(operator, ast.And) else ast.And())
        case ast.UnaryOp(op=operator, operand=operand):
            yield _field(node, "operand", ast.UnaryOp(operator, operand))  # twice is not at all
        case ast.Constant(value=value):
            if isinstance(value, bool | int | float | str | bytes):
                yield _field(node, "value", _other_value(value))
        case ast.Slice(lower=lower, upper=upper):
            if lower is not None:
                yield _field(node, "lower", None)
            if upper is not None:
                yield _field(node, "upper", None)
        case ast.Call(keywords=keywords):
            for each in keywords:
                yield _Fault(each.lineno, partial(keywords.remove, each))
        case ast.If() | ast.IfExp():
            yield from (_field(node, "test", ast.Constant(value)) for value in (True, False))
        case ast.comprehension(iter=shown, ifs=[_, *_]):
            yield _Fault(shown.lineno, node.ifs.clear)


def _of_statements(node: ast.AST) -> Iterator[_Fault]:
    """A statement left out; but not what gives a name its value, without which nothing would work."""
    for name in BODIES:
        body = getattr(node, name, None)
        if not isinstance(body, list):
            continue  # of a lambda or of a choice between two values
        for place, statement in enumerate(body):
            is_stored = isinstance(statement, ast.Assign) and isinstance(
                statement.targets[0], ast.Attribute | ast.Subscript
            )
            is_done = isinstance(statement, ast.Expr | ast.AugAssign | ast.Raise | ast.Continue | ast.Break)
            if (is_stored or is_done) and not _is_docstring(statement):
                yield _item(statement, body, place, ast.Pass())


def _field(node: ast.AST, name: str, value: object) -> _Fault:
    return _Fault(_line_of(node), partial(setattr, node, name, value))


def _item(node: ast.AST, items: list[Any], place: int, value: object) -> _Fault:
    return _Fault(_line_of(node), partial(items.__setitem__, place, value))


def _line_of(node: ast.AST) -> int:
    """A slice that is none of its own has no line: that of what it holds."""
    return next(each.lineno for each in ast.walk(node) if hasattr(each, "lineno"))


def _other_value(value: bool | float | str | bytes) -> bool | float | str | bytes:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case _:
            return value + b"x"


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
