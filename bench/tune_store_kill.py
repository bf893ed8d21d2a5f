"""Does a search that is killed lose or repeat a trial? As bench/tune_kill.py, but with stood-in losses.

    python bench/tune_store_kill.py --kills 10

No network is fitted. Real processes on a real search.db are ended with SIGKILL; they come from a fork server that has
imported everything, so that the kills hit trials and not imports. A process counts as dead after a second, and the next
one starts when that is over. Where a search is done before all kills are, another one begins.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from hilum.train.config import default_config
from hilum.train.tune import search_store
from hilum.train.tune.search_space import search_space

WORKER = """
import time
from pathlib import Path
import optuna
from hilum.train.config import default_config
from hilum.train.tune import search_database, search_store
from hilum.train.tune.search_space import search_space
search_database._HEARTBEAT_SECONDS, search_database._DEAD_AFTER_SECONDS = 1, 1
store = search_store.SearchStore(Path(folder), search_space(default_config("plain-cnn")), {})
def judge(claim):
    time.sleep(0.05)
    if claim.number % 5 == 3:
        raise optuna.TrialPruned
    return abs(claim.values["dropout"] - 0.4) + (claim.values["optimiser"] != "lion") * 0.1
while store.work_on_one(store.study, judge, num_trials):
    pass
store.close()
"""


def trials_of(folder: Path) -> list[FrozenTrial]:
    """Return the trials of a search, by number."""
    store = search_store.SearchStore(folder, search_space(default_config("plain-cnn")), {})
    trials = store.trials()
    store.close()
    return trials


def result_of(trial: FrozenTrial) -> Any:
    """Return what must be the same in two searches of one seed."""
    return trial.state, trial.params, trial.values


def main() -> int:
    """Search, kill, compare, print; 1 where a trial was lost, repeated or changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    server, chance = multiprocessing.get_context("forkserver"), random.Random(options.seed)
    server.set_forkserver_preload(["hilum.train.tune.search_store"])

    def started(folder: Path) -> Any:
        names = {"folder": str(folder), "num_trials": options.trials}
        process = server.Process(target=exec, args=(WORKER, names))
        process.start()
        return process

    with tempfile.TemporaryDirectory() as temporary:
        whole, killed = Path(temporary) / "whole", Path(temporary) / "killed-0"
        begin = time.monotonic()
        started(whole).join()
        longest_seconds = (time.monotonic() - begin) / options.kills
        finished: dict[int, FrozenTrial] = {}
        num_kills = in_trials = num_trials = lost = repeated = changed = unlike = 0
        while num_kills < options.kills or finished:
            process = started(killed)
            process.join(chance.uniform(0, longest_seconds) if num_kills < options.kills else None)
            is_done = process.exitcode is not None
            if not is_done:
                process.kill()
                process.join()
                num_kills += 1
                time.sleep(3)  # until it counts as dead
            now = trials_of(killed)
            in_trials += not is_done and any(one.state.name == "RUNNING" for one in now)
            repeated += max(0, len(now) - options.trials)
            ended = {number: one for number, one in enumerate(now) if one.state.is_finished()}
            lost += len(finished.keys() - ended.keys())
            changed += sum(
                (result_of(one), one.datetime_complete) != (result_of(ended[number]), ended[number].datetime_complete)
                for number, one in finished.items()
                if number in ended
            )
            finished = ended
            if is_done:
                pairs = zip(trials_of(whole), now, strict=True)
                unlike += sum(result_of(one) != result_of(other) for one, other in pairs)
                num_trials, finished = num_trials + len(now), {}
                killed = killed.with_name(f"killed-{num_trials}")
    heads = ("kills", "in a trial", "trials", "lost", "repeated", "changed", "unlike the whole search")
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    print(f"| {num_kills} | {in_trials} | {num_trials} | {lost} | {repeated} | {changed} | {unlike} |")
    return 1 if lost or repeated or changed or unlike else 0


if __name__ == "__main__":
    sys.exit(main())
