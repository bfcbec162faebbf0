"""The programs in docs/frameworks.md run as they stand there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from running import ROOT, Running, client, eventually, quiet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from async_mysqlpool import ConnectionPool
    from async_mysqlpool.testing import Server

pytestmark = pytest.mark.server


def blocks(heading: str) -> list[str]:
    """The Python of one section."""
    page = (ROOT / "docs" / "frameworks.md").read_text(encoding="utf-8")
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


@pytest.fixture
async def books(database: ConnectionPool) -> None:
    await database.execute("CREATE OR REPLACE TABLE books (id INT AUTO_INCREMENT PRIMARY KEY, title VARCHAR(50))")
    await database.execute("INSERT INTO books (title) VALUES ('Emma'), ('Persuasion')")


@pytest.fixture
def dsn(mariadb: Server) -> str:
    return mariadb.dsn("asyncmy")


async def test_fastapi(serve: Callable[..., Running], tmp_path: Path, books: None, dsn: str):
    program, streaming, until_sent, named = blocks("FastAPI")
    # The last block makes another application; only its dependencies are tried here.
    dependencies = named.partition("\n")[2]
    (tmp_path / "program.py").write_text(f"{program}\n{streaming}\n{until_sent}\n{dependencies}")
    app = serve(str(tmp_path), "program:app", DSN=dsn)
    with quiet(app):
        async with client(app) as http:
            assert (await http.get("/books/1")).json() == {"id": 1, "title": "Emma"}
            assert (await http.get("/books/7")).status_code == 404
            assert (await http.post("/books", params={"title": "Sanditon"})).json() == 3
            assert (await http.get("/titles")).text.split() == ["Emma", "Persuasion", "Sanditon"]
            assert (await http.get("/health/ready")).json() == {"status": "ready"}


async def test_fastapi_in_the_readme(serve: Callable[..., Running], tmp_path: Path, books: None, dsn: str):
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## In FastAPI\n")[1]
    (tmp_path / "program.py").write_text(section.split("```python\n")[1].split("```")[0])
    app = serve(str(tmp_path), "program:app", DSN=dsn)
    with quiet(app):
        async with client(app) as http:
            assert (await http.get("/books/1")).json() == {"id": 1, "title": "Emma"}
            assert (await http.get("/books/7")).json() is None
            assert (await http.post("/books", params={"title": "Sanditon"})).status_code == 201
            assert (await http.get("/books/3")).json() == {"id": 3, "title": "Sanditon"}
            assert (await http.get("/health/ready")).json() == {"status": "ready"}


@pytest.mark.parametrize("heading", ["Starlette", "Litestar"])
async def test_under_uvicorn(serve: Callable[..., Running], tmp_path: Path, books: None, dsn: str, heading: str):
    (program,) = blocks(heading)
    if heading == "Litestar":  # of the two pools it names, the test has one
        program = program.replace(', "reports": connection("reports")', "")
    (tmp_path / "program.py").write_text(program)
    app = serve(str(tmp_path), "program:app", DSN=dsn)
    with quiet(app):
        async with client(app) as http:
            assert (await http.get("/count")).json() == 2
            assert (await http.get("/health/ready")).json() == {"status": "ready"}


async def test_aiohttp(start: Callable[..., Running], tmp_path: Path, books: None, dsn: str):
    (program,) = blocks("aiohttp")
    path = tmp_path / "program.py"
    any_port = 'run_app(app, sock=__import__("socket").create_server(("127.0.0.1", 0)),'
    path.write_text(program.replace("run_app(app,", any_port))
    app = start(str(path), DSN=dsn)
    with quiet(app):
        async with client(app) as http:
            assert (await http.get("/count")).json() == 2
            assert (await http.get("/health/ready")).json() == {"status": "ready"}


async def test_worker(start: Callable[..., Running], tmp_path: Path, database: ConnectionPool, dsn: str):
    await database.execute("CREATE OR REPLACE TABLE sessions (expires DATETIME)")
    await database.execute("INSERT INTO sessions VALUES (NOW() - INTERVAL 1 DAY), (NOW() + INTERVAL 1 DAY)")
    (program,) = blocks("Worker services")
    path = tmp_path / "program.py"
    path.write_text(program)
    worker = start(str(path), DSN=dsn)

    async def cleaned() -> bool:
        return await database.fetch_value("SELECT COUNT(*) FROM sessions") == 1

    await eventually(cleaned)
    with quiet(worker):
        worker.signal()
