"""A real Prometheus scrapes a FastAPI service and evaluates our alert rules and dashboard: calm first, then overloaded.

python tests/peers/prometheus_scrapes.py; needs Debian's packages, as the throwaway servers do.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from async_mysqlpool.testing import start_server
from async_mysqlpool.testing.packages import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "observability"
PATIENCE = 120.0  # seconds
# Which alerts an overloaded pool raises, and which nothing here is a reason for.
DUE = {"PoolTasksWait", "PoolTimeouts", "PoolAcquireNearTimeout", "PoolUsedUp", "PoolLeftBehind"}
NOT_DUE = {"PoolHeldLong", "PoolCannotConnect", "PoolChurn"}

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: service
    static_configs: [{{targets: ['127.0.0.1:{port}']}}]
    metrics_path: /metrics/
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[None]:
    """A program, ended when the block is left."""
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})
    try:
        yield
    except BaseException:
        print(log.read_text()[-3000:])
        raise
    finally:
        process.terminate()
        process.wait(30)


def eventually(look: Callable[[], Any], what: str, seen: Iterable[str] = ()) -> Any:
    """What `look` gives once it gives something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if answer := look():
                return answer
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"after {PATIENCE:g} s still not: {what}; {sorted(seen)}")


class Prometheus:
    """Its API."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def get(self, path: str, **params: str) -> Any:
        answer = httpx.get(f"{self._url}/{path}", params=params).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def firing(self) -> set[str]:
        return {alert["labels"]["alertname"] for alert in self.get("alerts")["alerts"] if alert["state"] == "firing"}

    def scrapes(self) -> int:
        """Of the service, all well."""
        result = self.get("query", query="count_over_time((up == 1)[10m:1s])")["result"]
        return int(result[0]["value"][1]) if result else 0


def hurried(rules: str) -> str:
    """The same rules, for a few seconds instead of minutes."""
    rules = re.sub(r"\[\d+m\]", "[10s]", rules)
    return re.sub(r"for: \d+m", "for: 2s", rules)


async def load(
    url: str, tasks: int, seconds: float, sleep: float, pause: float, enough: threading.Event | None = None
) -> None:
    """So many clients, one request after the other."""
    ends = time.monotonic() + seconds

    async def client() -> None:
        async with httpx.AsyncClient(timeout=60) as http:
            while time.monotonic() < ends and not (enough is not None and enough.is_set()):
                (await http.get(f"{url}/sleep/{sleep}")).raise_for_status()
                await asyncio.sleep(pause)

    await asyncio.gather(*(client() for _ in range(tasks)))


@contextmanager
def overloaded(url: str) -> Iterator[None]:
    """Six times as many clients as there are connections, for as long as the block runs."""
    enough = threading.Event()

    def work() -> None:
        while not enough.is_set():
            asyncio.run(load(url, tasks=12, seconds=PATIENCE, sleep=0.3, pause=0.0, enough=enough))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def check_rules(promtool: Sequence[str]) -> None:
    """They are well-formed, and those that need minutes fire on made-up figures."""
    with tempfile.TemporaryDirectory() as folder:
        for file in (DOCS / "alerts.yml", HERE / "alerts_test.yml"):
            shutil.copy(file, folder)
        for words in (("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")):
            done = subprocess.run([*promtool, *words], cwd=folder, capture_output=True, text=True, check=False)
            print(done.stdout.strip(), done.stderr.strip())
            done.check_returncode()


def check_dashboard(prometheus: Prometheus) -> None:
    """Every expression of it is understood, and nearly all have something to show."""
    empty = []
    for panel in json.loads((DOCS / "grafana.json").read_text())["panels"]:
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", "30s").replace("$pool", ".*").replace("$instance", ".*")
            if not prometheus.get("query", query=query)["result"]:
                empty.append(panel["title"])
    assert set(empty) <= {"Failed statements", "Closed"}, empty
    print("the dashboard: every expression is understood; nothing to show in:", sorted(set(empty)) or "none")


def main() -> None:
    unpacked = unpack("prometheus")
    check_rules(unpacked.command("usr/bin/promtool"))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(start_server())
        port, own_port = free_port(), free_port()
        rules = folder / "alerts.yml"
        rules.write_text(hurried((DOCS / "alerts.yml").read_text()))
        (folder / "prometheus.yml").write_text(CONFIG.format(rules=rules, port=port))
        uvicorn = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "--port", str(port), "scraped_app:app"]
        stack.enter_context(running(uvicorn, folder / "service.log", DSN=server.dsn()))
        command = [
            *unpacked.command("usr/bin/prometheus"), f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{own_port}",
        ]  # fmt: skip
        stack.enter_context(running(command, folder / "prometheus.log"))
        prometheus, url = Prometheus(own_port), f"http://127.0.0.1:{port}"
        eventually(prometheus.scrapes, "scraped")
        asyncio.run(load(url, tasks=1, seconds=15, sleep=0.0, pause=0.2))
        assert prometheus.firing() == set(), prometheus.firing()
        print("calm: no alert in 15 s")
        httpx.get(f"{url}/leave").raise_for_status()
        seen: set[str] = set()

        def all_due() -> bool:
            seen.update(prometheus.firing())
            return seen >= DUE

        with overloaded(url):
            eventually(all_due, f"firing: {', '.join(sorted(DUE))}", seen)
        assert seen.isdisjoint(NOT_DUE), seen
        print("overloaded:", ", ".join(sorted(seen)))
        check_dashboard(prometheus)


if __name__ == "__main__":
    main()
