"""In examples/service no name is `Any` to mypy or pyright: whatever an editor shows for it is a type."""

from __future__ import annotations

import ast
import importlib.util
import re
from typing import TYPE_CHECKING, cast

import pytest
from checkers import ROOT, mypy, pyright

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SERVICE = ROOT / "examples" / "service"
REVEALED = re.compile(r'(?:Revealed type is|Type of "\w+" is) "(.*)"')


class Reveals(ast.NodeTransformer):
    """Puts `reveal_type(name)` where each name gets its value: parameters, assignments, `for` and `with`."""

    def _reveal(self, *targets: ast.AST | None) -> list[ast.stmt]:
        names = [node.id for target in targets if target for node in ast.walk(target) if isinstance(node, ast.Name)]
        return ast.parse("\n".join(f"reveal_type({name})" for name in names)).body

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.body[:0] = [
            statement for arg in node.args.args + node.args.kwonlyargs for statement in self._reveal(ast.Name(arg.arg))
        ]
        return node

    def visit_Assign(self, node: ast.Assign) -> list[ast.stmt]:
        return [node, *self._reveal(*node.targets)]

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        self.generic_visit(node)
        node.body[:0] = self._reveal(node.target)
        return node

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        self.generic_visit(node)
        node.body[:0] = self._reveal(*(item.optional_vars for item in node.items))
        return node


def revealing(text: str) -> str:
    """The program with `reveal_type` in its functions; what stands at the top are type aliases and routers."""
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.AsyncFunctionDef):
            Reveals().visit(node)
    return ast.unparse(ast.fix_missing_locations(tree))


@pytest.mark.parametrize("checker", [mypy, pyright], ids=lambda checker: checker.__name__)
def test_no_name_is_any(checker: Callable[[Path], str], tmp_path: Path) -> None:
    if importlib.util.find_spec(checker.__name__) is None:
        pytest.skip(f"needs {checker.__name__}: `nox -s typing` has it")
    for name in ("accounts.py", "service.py"):
        (tmp_path / name).write_text(revealing((SERVICE / name).read_text(encoding="utf-8")), encoding="utf-8")
    types = cast("list[str]", REVEALED.findall(checker(tmp_path)))
    assert any("PooledCursor" in shown for shown in types)
    assert any("Transfer" in shown for shown in types)
    assert len(types) > 40
    assert [shown for shown in types if re.search(r"\bAny\b|Unknown", shown)] == []
