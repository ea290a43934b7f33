"""`scripts/bench serve`: how fast `translate serve` is next to `translate decode` and to a call from Python.

The load comes from wrk (a package of most systems), which sends a different sentence with each request. Meanwhile, a
few more clients compare each answer with the translation of its sentence.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

from benchmarks.child import environment, in_child
from benchmarks.decoding import DecodeJob
from benchmarks.report import Columns, Report, table, versions
from benchmarks.work import Job, say, write_lines
from translate.errors import UserError
from translate.run.folder import Run

NUM_CHECKERS = 2  # clients that compare answers
PAUSE_SECONDS = 0.02  # between their requests
NUM_LONE = 40  # requests of a lone client, and calls from Python
OVERLOAD = 2.0  # requests offered, relative to what the server answered
FULL = 4  # pauses of a connection that an overload lasts at least, because it begins with one
NUM_OVERLOADING = 1000  # connections that offer them, more than may wait
RUSH = """
local lines, n, delay_ms = {}, 0, tonumber(os.getenv("DELAY_MS"))
for line in io.lines(os.getenv("BODIES")) do lines[#lines + 1] = line end
math.randomseed(os.time())
n = math.random(#lines)
if delay_ms > 0 then function delay() return delay_ms * (0.5 + math.random()) end end
function setup(thread) threads = threads or {} table.insert(threads, thread) end
function init() ok, refused, others = 0, 0, 0 end
function request()
  n = n % #lines + 1
  return wrk.format("POST", "/translate", { ["Content-Type"] = "application/json" }, lines[n])
end
function response(status)
  if status == 200 then ok = ok + 1 elseif status == 503 then refused = refused + 1 else others = others + 1 end
end
function done(summary, latency)
  local count = { ok = 0, refused = 0, others = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(count) do count[name] = count[name] + thread:get(name) end
  end
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  local form = '{"ok": %d, "refused": %d, "others": %d, "errors": %d, "seconds": %f, "p50": %f, "p99": %f}'
  local p50, p99 = latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
  print("RESULT " .. form:format(count.ok, count.refused, count.others, errors, summary.duration / 1e6, p50, p99))
end
"""


@dataclass(frozen=True)
class Plan:
    """What to measure: a load of `clients` for `seconds`, then an overload for a quarter of that."""

    clients: int
    seconds: int
    threads: int
    engine: str  # of the server; torch translates in the comparisons


class CallJob(Job):
    """Calls of the translator from Python, each with one sentence."""

    run: Path
    source: Path


@dataclass(frozen=True)
class Called:
    """The median time of a call."""

    milliseconds: float


class Load(NamedTuple):
    """What wrk saw, and what the checking clients saw."""

    ok: int
    refused: int
    others: int  # answers with another status
    errors: int  # connections that failed
    seconds: float
    p50: float  # milliseconds
    p99: float
    checked: Counter[str]  # right, wrong, refused, failed


class Service(NamedTuple):
    """A running server, and what it is asked for."""

    process: subprocess.Popen[str]
    port: int
    bodies: Sequence[str]  # requests in JSON
    expected: Sequence[str]  # their translations
    folder: Path

    @property
    def megabytes(self) -> float:
        """The server's resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@dataclass(frozen=True)
class Measured:
    """All figures of a run."""

    decode_rate: float  # sentences per second
    call: float  # milliseconds, as the next two
    lone: float
    lone_after: float
    load: Load
    overload: Load
    memory: tuple[float, float]  # MB, before and after the load

    @property
    def rate(self) -> float:
        """Sentences per second under the load."""
        return self.load.ok / self.load.seconds


class Row(NamedTuple):
    """A figure, and what it is compared with."""

    name: str
    value: str
    compared: str


COLUMNS: Columns[Row] = {
    "figure": lambda row: row.name,
    "measured": lambda row: row.value,
    "compared with": lambda row: row.compared,
}


def measure(plan: Plan, folder: Path, run: Run, sentences: Sequence[str]) -> Report:
    """Measure decoding and calls, then a lone client, a load, an overload, and the recovery from it."""
    if shutil.which("wrk") is None:
        raise UserError("wrk is not installed; install the package wrk of your system")
    source, config = folder / "source.txt", run.load_config()
    write_lines(source, sentences)
    fixed: dict[str, Any] = {"folder": folder, "device": "cpu", "threads": plan.threads, "run": run.path.resolve()}
    search = {"system": "ours", "model": folder, "precision": "float32", "beam_size": config.decode.beam_size}
    decoded = in_child("ours.decode", DecodeJob(**fixed, **search, source=source))
    say(f"decode: {decoded['sentences_per_second']:,.1f} sentences/s")
    milliseconds = Called(**in_child("serving.call", CallJob(**fixed, source=source))).milliseconds
    languages = [code or unknown for code, unknown in zip(config.data.languages, ("src", "tgt"), strict=True)]
    bodies = [json.dumps({"q": each, "source": languages[0], "target": languages[1]}) for each in sentences]
    write_lines(folder / "bodies.txt", bodies)
    with _serving(run.path, plan) as (process, port):
        service = Service(process, port, bodies, decoded["translations"], folder)
        measured = _measured(service, plan, decoded["sentences_per_second"], milliseconds)
    model = config.model
    layers = f"{model.num_encoder_layers}+{model.num_decoder_layers} layers"
    title = f"Serving on the CPU: {layers}, width {model.d_model}, {plan.clients} clients, {plan.engine}"
    figures = asdict(measured) | {"ratio_to_decode": measured.rate / measured.decode_rate, **asdict(plan)}
    return Report(title, table(COLUMNS, _rows(measured)), [figures], versions("torch", "starlette", "uvicorn"), "")


def call(job: CallJob) -> Called:
    """Call the translator from Python with one sentence after the other."""
    from translate import load

    translator = load(str(job.run), device=job.device)
    lines = job.source.read_text(encoding="utf-8").splitlines()[: NUM_LONE + 1]
    return Called(_median(lambda line: translator.translate(line), lines))


def _measured(service: Service, plan: Plan, decode_rate: float, milliseconds: float) -> Measured:
    lone = _lone(service)
    say(f"a lone request: {lone:.1f} ms; a call from Python: {milliseconds:.1f} ms")
    _load(service, plan.clients, max(2, plan.seconds // 10))  # until the memory is in use
    before = service.megabytes
    load = _load(service, plan.clients, plan.seconds)
    memory = before, service.megabytes
    say(f"{plan.clients} clients: {load.ok / load.seconds:,.1f} sentences/s, {dict(load.checked)}")
    delay = 1000 * NUM_OVERLOADING / (OVERLOAD * load.ok / load.seconds)
    overload = _load(service, NUM_OVERLOADING, max(plan.seconds // 4, round(FULL * delay / 1000)), delay)
    after = _lone(service)
    say(f"overload: {overload.ok / overload.seconds:,.1f} sentences/s, {dict(overload.checked)}")
    return Measured(decode_rate, milliseconds, lone, after, load, overload, memory)


def _rows(found: Measured) -> list[Row]:
    load, over = found.load, found.overload
    ratio, lone_ratio = found.rate / found.decode_rate, found.lone / found.call
    return [
        Row("sentences/s", f"{found.rate:,.1f}", f"{ratio:.2f} of decode ({found.decode_rate:,.1f})"),
        Row("p50, p99", f"{load.p50:,.0f} ms, {load.p99:,.0f} ms", f"{load.seconds:.0f} s"),
        Row("answers", _checked(load), f"{load.others + load.refused + load.errors} errors"),
        Row("memory", f"{found.memory[1]:,.0f} MB", f"{found.memory[0]:,.0f} MB before"),
        Row("a lone request", f"{found.lone:.1f} ms", f"{lone_ratio:.2f} of a call from Python ({found.call:.1f} ms)"),
        Row(f"{OVERLOAD:g} times the load", f"{over.ok / over.seconds:,.1f} sentences/s", f"{over.refused} refused"),
        Row("answers then", _checked(over), f"{over.others + over.errors} errors"),
        Row("a lone request afterward", f"{found.lone_after:.1f} ms", f"{found.lone:.1f} ms before"),
    ]


def _checked(load: Load) -> str:
    return f"{load.checked['right']:,} right, {load.checked['wrong']} wrong"


@contextmanager
def _serving(run: Path, plan: Plan) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Serve the run within the block."""
    command = [sys.executable, "-m", "translate", "serve", str(run), "--port", "0", "--device", "cpu"]
    command += ["--engine", plan.engine, "--no-access-log"]  # which nobody reads here
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment(plan.threads)) as process:
        try:
            assert process.stderr
            lines = []
            for line in process.stderr:
                lines.append(line)
                if found := re.search(r"at http://[^;]*:(\d+);", line):
                    yield process, int(found[1])
                    return
            raise UserError("".join(lines))
        finally:
            process.terminate()


def _load(service: Service, clients: int, seconds: int, delay: float = 0) -> Load:
    """Send requests from wrk's clients, each after a pause of about `delay` milliseconds, and compare some answers."""
    script = service.folder / "rush.lua"
    script.write_text(RUSH, encoding="utf-8")
    variables = os.environ | {"BODIES": str(service.folder / "bodies.txt"), "DELAY_MS": str(delay)}
    url = f"http://127.0.0.1:{service.port}"
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "60s", "-s", str(script), url]
    is_over, checked = Event(), Counter[str]()
    with ThreadPoolExecutor(NUM_CHECKERS) as threads:
        checkers = [threads.submit(_check, service, number, is_over) for number in range(NUM_CHECKERS)]
        try:
            output = subprocess.run(command, capture_output=True, text=True, env=variables, check=True).stdout
        finally:
            is_over.set()
        for checker in checkers:
            checked += checker.result()
    found = json.loads(output.partition("RESULT ")[2].splitlines()[0])
    return Load(**found, checked=checked)


def _check(service: Service, first: int, is_over: Event) -> Counter[str]:
    """Compare answers with the translations until the load is over."""
    found: Counter[str] = Counter()
    for number in range(first, 10**9, NUM_CHECKERS):
        if is_over.is_set():
            break
        at = number % len(service.bodies)
        status, answer = _ask(service, service.bodies[at])
        is_right = answer.get("translatedText") == service.expected[at]
        found[("right" if is_right else "wrong") if status == 200 else str(status)] += 1
        time.sleep(PAUSE_SECONDS)  # the server and the load share the machine with these clients
    return found


def _ask(service: Service, body: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.request("POST", "/translate", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def _lone(service: Service) -> float:
    return _median(lambda body: _ask(service, body), service.bodies[: NUM_LONE + 1])


def _median(function: Callable[[str], object], texts: Sequence[str]) -> float:
    """Return the median milliseconds of the calls after the first."""
    seconds = []
    for text in texts:
        started = time.perf_counter()
        function(text)
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds[1:])
