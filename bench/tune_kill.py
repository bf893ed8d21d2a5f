"""Does a search that is killed lose or repeat a trial? Kills `hilum tune` at random moments, then looks at its trials.

    python bench/tune_kill.py --kills 10

A search of a few trials on drawn films is made once without kills. The same search is then ended with SIGKILL again and
again and started again; how long it lives each time is drawn so that all lives together are about as long as the first
search, and one in five is ended while it starts. After each kill the finished trials are read: none may be missing and
none may have changed. At the end there must be as many trials as were asked for. The search is started again at once,
so it takes the killed trial up later than a search that was not killed, and the sampler may propose other settings. So
it is only counted how many trials are unlike those of the whole search.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna

from hilum.data.phantom import write_phantoms

SETTINGS = 'backbone = "plain-cnn"\n[preprocessing]\nsize_px = 32\n[fit]\nepochs = 1\n'


def trials_of(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """Return the trials of a search, by number; each as its latest try left it."""
    if not (folder / "search.db").exists():
        return []
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'search.db'}")
    trials = optuna.load_study(study_name="hilum", storage=storage).get_trials()
    storage.remove_session()
    storage.engine.dispose()
    return list({one.system_attrs.get("failed_trial", one.number): one for one in trials}.values())


def main() -> int:
    """Search, kill, compare, print; 1 where a trial was lost, repeated or changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    chance = random.Random(options.seed)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        films = write_phantoms(
            folder / "films", num_per_finding=12, num_test_per_finding=2, findings=("Normal", "Covid-19"), size_px=96
        )
        (folder / "start.toml").write_text(SETTINGS, encoding="utf-8")

        def command(out: str) -> list[str]:
            words = [sys.executable, "-m", "hilum", "tune", str(films), "--out", str(folder / out)]
            words += ["--config", str(folder / "start.toml"), "--trials", str(options.trials)]
            return [*words, "--folds", "2"]

        begin = time.monotonic()
        subprocess.run(command("whole"), check=True, capture_output=True)
        longest_seconds = 2 * (time.monotonic() - begin) / options.kills
        lost = repeated = changed = num_kills = in_trials = 0
        finished: dict[int, optuna.trial.FrozenTrial] = {}
        while num_kills < options.kills:
            process = subprocess.Popen(command("killed"), stderr=subprocess.PIPE, text=True)
            if process.stderr is not None and chance.random() < 0.8:
                process.stderr.readline()  # it reads films
                time.sleep(chance.uniform(0, longest_seconds))
            else:
                time.sleep(chance.uniform(0, 2))
            was_running = process.poll() is None
            process.kill()
            process.communicate()
            num_kills += was_running
            now = trials_of(folder / "killed")
            in_trials += was_running and any(one.state.name == "RUNNING" for one in now)
            repeated += max(0, len(now) - options.trials)
            ended = {number: one for number, one in enumerate(now) if one.state.name in ("COMPLETE", "PRUNED")}
            lost += len(finished.keys() - ended.keys())
            changed += sum(
                (one.values, one.params, one.datetime_complete)
                != (ended[number].values, ended[number].params, ended[number].datetime_complete)
                for number, one in finished.items()
                if number in ended
            )
            finished = ended
            print(f"kill {num_kills}: {len(ended)} trials finished", file=sys.stderr)
            if not was_running:
                break  # it is done: more kills hit nothing
        subprocess.run(command("killed"), check=True, capture_output=True)
        killed, whole = trials_of(folder / "killed"), trials_of(folder / "whole")
        same = [
            (one.state, one.params) == (other.state, other.params) for one, other in zip(killed, whole, strict=True)
        ]
        values = [
            abs(one.value - other.value)
            for one, other in zip(killed, whole, strict=True)
            if one.value is not None and other.value is not None
        ]
    print("| kills | in a trial | trials | lost | repeated | changed | unlike the whole search | largest difference |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {num_kills} | {in_trials} | {len(killed)} | {lost} | {repeated} | {changed} | {same.count(False)} "
        f"| {max(values):.1e} |"
    )
    return 1 if lost or repeated or changed or len(killed) != options.trials else 0


if __name__ == "__main__":
    sys.exit(main())
