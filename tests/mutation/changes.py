"""The small changes that are tried: one condition, operand, constant or statement of a module at a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
_OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_LOGS = {"log", "_log"}


Key = tuple[str, str, str, int]
"""Function, was, becomes, number: see `Change`."""


@dataclass(frozen=True)
class Change:
    """One small change of a module.

    Attributes:
        function: where it is, as `core/fencing.py:fence`.
        was, becomes: the source text of what is changed, and of what it is changed to.
        number: tells apart several changes of the same text in one function, in order, from 1.
        lines: of the function around it; outside of any function, those of the statement.
        source: the whole module with the change.
    """

    module: str
    function: str
    was: str
    becomes: str
    number: int
    lines: range
    source: str

    @property
    def path(self) -> str:
        """Of the module's file, such as `core/fencing.py`."""
        return self.function.split(":")[0]

    @property
    def key(self) -> Key:
        return self.function, self.was, self.becomes, self.number

    def __str__(self) -> str:
        again = f" (number {self.number} of that text)" if self.number > 1 else ""
        return f"{self.function}: {self.was}  ->  {self.becomes}{again}"


def changes(source: str, module: str, path: str) -> Iterator[Change]:
    """All changes of one module: `module` is its dotted name, `path` what `function` calls it."""
    tree = ast.parse(source)
    seen: dict[tuple[str, str, str], int] = {}
    for owner, field, index, where, lines in _places(tree, (), range(0)):
        node = _get(owner, field, index)
        if not where and isinstance(node, ast.Constant) and isinstance(node.value, float):
            continue  # a tuning: what it is good for is bounded by tests, but none tells 5.0 s from 6.0 s
        for other in _alternatives(node):
            _set(owner, field, index, other)
            was, becomes = _text(node), _text(other)
            function = f"{path}:{'.'.join(where) or '(module)'}"
            number = seen[function, was, becomes] = seen.get((function, was, becomes), 0) + 1
            yield Change(module, function, was, becomes, number, lines, ast.unparse(tree))
            _set(owner, field, index, node)


Place = tuple[ast.AST, str, int | None, tuple[str, ...], range]


def _places(node: ast.AST, where: tuple[str, ...], lines: range) -> Iterator[Place]:
    """Every place in the tree that holds a node: its owner, the field, the index in it, the function, and
    `Change.lines`."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        where = (*where, node.name)
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list", "bases", "type_params"}:
            continue
        for index, child in enumerate(value) if isinstance(value, list) else ((None, value),):
            if isinstance(child, ast.AST) and not _left_out(child):
                of = lines
                if isinstance(node, ast.Module | ast.ClassDef):
                    of = _lines(child)
                elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and field == "body":
                    of = range(_lines(node.body[0]).start, _lines(node).stop)
                yield node, field, index, where, of
                yield from _places(child, where, of)


def _lines(node: ast.AST) -> range:
    first: int = getattr(node, "lineno", 0)
    return range(first, 1 + (getattr(node, "end_lineno", None) or first))


def _left_out(node: ast.AST) -> bool:
    """What says nothing about behaviour: docstrings, assertions, imports, and what is logged."""
    if isinstance(node, ast.Expr):
        call = node.value
        if isinstance(call, ast.Constant):
            return True
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            of = call.func.value
            return (isinstance(of, ast.Name) and of.id in _LOGS) or (
                isinstance(of, ast.Attribute) and of.attr in _LOGS
            )
    return isinstance(node, ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr)


def _alternatives(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.stmt):
        yield from _statements(node)
    else:
        yield from _conditions(node)
        yield from _values(node)


def _conditions(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(left, [operator], comparators) if type(operator) in _COMPARISONS:
            yield ast.Compare(left, [_COMPARISONS[type(operator)]()], comparators)
            if isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
                yield ast.UnaryOp(ast.Not(), node)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for n in range(len(values)):
                rest = values[:n] + values[n + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.comprehension(target, iter_, ifs, is_async) if ifs:
            yield ast.comprehension(target, iter_, [], is_async)


def _values(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
            yield ast.BinOp(left, _OPERATORS[type(op)](), right)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Call(ast.Name(name), args, keywords) if name in _OPPOSITES:
            yield ast.Call(ast.Name(_OPPOSITES[name]), args, keywords)
        case ast.Call(ast.Name("replace"), args, keywords) if len(keywords) > 1:
            for n in range(len(keywords)):
                yield ast.Call(ast.Name("replace"), args, keywords[:n] + keywords[n + 1 :])


def _statements(node: ast.stmt) -> Iterator[ast.AST]:
    match node:
        case ast.If(test, body, orelse) if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Expr() | ast.Raise() | ast.AugAssign() | ast.Delete() | ast.Continue() | ast.Break():
            yield ast.Pass()
        case ast.Assign([ast.Attribute()]) | ast.Assign([ast.Subscript()]):
            yield ast.Pass()


def _get(owner: ast.AST, field: str, index: int | None) -> ast.AST:
    value = getattr(owner, field)
    found: ast.AST = value if index is None else value[index]
    return found


def _set(owner: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(owner, field, node)
    else:
        getattr(owner, field)[index] = node


def _text(node: ast.AST) -> str:
    """One line of source; of a statement with a body, its head."""
    if isinstance(node, ast.If):
        return f"if {ast.unparse(node.test)}:"
    if isinstance(node, ast.comprehension):
        return ast.unparse(node).strip()
    return " ".join(ast.unparse(node).split())
