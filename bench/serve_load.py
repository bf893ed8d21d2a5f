"""How `hilum serve` stands up to many clients: wrong answers, unexpected answers, growth of memory, films a second.

    .venv/bin/python bench/serve_load.py --model RUN/model.onnx [FILMS] [--clients 64] [--seconds 60]

Starts a server, lets every client send film after film over one connection, and compares each answer with what the
command line's classifier says of the film. FILMS is a folder; phantoms are drawn where none is given.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import hilum
from hilum.data.phantom import write_phantoms
from hilum.data.walk import film_paths
from hilum.errors import HilumError

BOUNDARY = "hilum-load"


def body_of(path: Path) -> bytes:
    """Return a request's body with one film."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'
    return head.encode() + path.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()


def is_right(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Return whether an answer is the classifier's, probabilities to 1e-6."""
    plain = [{**one, "file": "", "probabilities": {}} for one in (found, expected)]
    pairs = [(found["probabilities"][name], value) for name, value in expected["probabilities"].items()]
    return plain[0] == plain[1] and all(abs(one - other) <= 1e-6 for one, other in pairs)


class Load:
    """What all clients count together."""

    def __init__(self, port: int, films: list[tuple[bytes, dict[str, Any]]], end: float) -> None:
        self.port, self.films, self.end = port, films, end
        self.statuses: Counter[str] = Counter()
        self.wrong = 0
        self.seconds: list[float] = []
        self.lock = threading.Lock()

    def client(self, seed: int) -> None:
        """Send film after film until the end."""
        rng = random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        while time.monotonic() < self.end:
            body, expected = rng.choice(self.films)
            started = time.perf_counter()
            wait, status, right = 0.0, "", True
            try:
                connection.request("POST", "/v1/predictions", body, headers)
                answer = connection.getresponse()
                found = json.loads(answer.read())
                status = str(answer.status)
                if answer.status == 200:
                    right = is_right(found["predictions"][0], expected)
                elif answer.status == 503:
                    wait = float(answer.headers["Retry-After"])
            except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
                status = type(error).__name__
                connection.close()
            with self.lock:
                self.statuses[status] += 1
                self.wrong += not right
                if status == "200":
                    self.seconds.append(time.perf_counter() - started)
            time.sleep(min(wait, max(0.0, self.end - time.monotonic())))
        connection.close()


def memory_mb(pid: int) -> float:
    """Return a process's resident memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else 0.0


def main() -> None:
    """Run the load and print what was found; exit 1 where the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", type=Path, nargs="?")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--max-films", type=int, default=200)
    options = parser.parse_args()

    classifier = hilum.load(options.model)
    with tempfile.TemporaryDirectory() as folder:
        source = options.films or write_phantoms(Path(folder) / "films", num_per_finding=20, num_test_per_finding=1)
        films = []
        paths = list(film_paths([source]))
        for path in paths[:: max(1, len(paths) // options.max_films)][: options.max_films]:
            try:
                films.append((body_of(path), classifier.predict(path).to_dict()))
            except HilumError:
                continue  # no film; the folder's other files need not be pictures
    if not films:
        sys.exit(f"No film was found in {source}.")
    command = [sys.executable, "-m", "hilum", "serve", "--model", str(options.model), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    found = None
    while not found:
        found = re.search(r":(\d+)\n", server.stderr.readline() if server.stderr else "")
    load = Load(int(found[1]), films, time.monotonic() + options.seconds)
    threads = [threading.Thread(target=load.client, args=(seed,)) for seed in range(options.clients)]
    for thread in threads:
        thread.start()
    memory = []
    while time.monotonic() < load.end:
        memory.append(memory_mb(server.pid))
        time.sleep(0.5)
    for thread in threads:
        thread.join()
    server.send_signal(signal.SIGTERM)
    code = server.wait(60)
    sixth = max(1, len(memory) // 6)
    steps = [statistics.median(memory[start : start + sixth]) for start in range(0, sixth * 6, sixth)]
    early, late = steps[1], steps[-1]
    others = sum(count for status, count in load.statuses.items() if status not in {"200", "503"})
    answered = sorted(load.seconds) or [0.0]
    slow = answered[int(0.99 * (len(answered) - 1))]
    print(f"films                      {len(films)}, {options.clients} clients, {options.seconds:g} s")
    print(f"answers                    {dict(load.statuses)}")
    print(f"wrong answers              {load.wrong}")
    print(f"other than 200 and 503     {others}")
    print(f"films a second             {len(load.seconds) / options.seconds:.1f}")
    print(f"seconds, median and 99th   {statistics.median(answered):.2f}, {slow:.2f}")
    print(f"memory by sixths           {', '.join(f'{step:.0f}' for step in steps)} MB")
    print(f"its growth, 2nd to last    {late / early - 1:+.1%}")
    print(f"exit code after SIGTERM    {code}")
    sys.exit(load.wrong > 0 or others > 0 or late > 1.05 * early or code != 0)


if __name__ == "__main__":
    main()
