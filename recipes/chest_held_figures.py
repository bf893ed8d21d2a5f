"""Print what the recipe is worth at hospitals held out, from the answers that chest_held_out.py keeps.

    python recipes/chest_held_figures.py DIR/held/*.npz [--head trained|shrunk] [--coverage SHARE] [--adapt]

For each hospital: AUROC of Covid-19 against Normal by the difference of logits and by the probability, Covid-19 films
found, Normal films called Covid-19, accuracy, films refused as unfamiliar, coverage of the conformal sets, films
accepted with one finding and those of them that do not show it; and of films that show none of the named findings,
how many are answered with one all the same. The first line is of the films of the hospitals that were learned from
(those of the manifest's test part), for comparison. Temperature, conformal thresholds and the out-of-distribution
detector are fitted on the validation films, as in `hilum train`. With --adapt, the accuracy on each source held out
after its model was adapted with 20, 50 and 100 of its films (means of 20 draws, on the other films), as `hilum adapt`
does it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from hilum.judge.calibration import fit_temperature
from hilum.judge.conformal import conformal_thresholds
from hilum.run.answer import conformal_limits, conformal_sets, softmax
from hilum.run.out_of_distribution import BANK_FILMS, fit_detector
from hilum.train.batches import Films, source_chances
from hilum.train.config_file import read_config
from hilum.train.correction import LocalFilms
from hilum.train.correction_choice import choose_correction
from hilum.train.head import fit_linear, prior_shift

CONFIG = read_config(Path(__file__).parent / "chest.toml")
COVID, NORMAL, OTHER = "Covid-19", "Normal", "Other abnormality"
PENALTY = 10_000.0  # of the shrunk head
SHIFT_SHARE = 0.5
LOCAL_FILMS, DRAWS = (20, 50, 100), 20
MOST_LOCAL = max(LOCAL_FILMS)


@dataclass(frozen=True, eq=False)
class Held:
    """One model's answers.

    Attributes:
        saved: What chest_held_out.py wrote.
        logits: (n, K) of the films that state their finding, by the head in question.
        open_logits: (m, K) of the films that leave it open.
    """

    saved: dict[str, np.ndarray]
    logits: np.ndarray
    open_logits: np.ndarray

    @property
    def names(self) -> list[str]:
        """Return the findings."""
        return [str(name) for name in self.saved["findings"]]


def shrunk(saved: dict[str, np.ndarray]) -> Held:
    """Return the answers of a strongly shrunk linear head on the trained features."""
    learned, labels = saved["learned"], saved["labels"]
    features, opened = saved["features"].astype(np.float32), saved["open_features"].astype(np.float32)
    sources = np.unique(saved["source"], return_inverse=True)[1]
    films = Films(np.zeros((int(learned.sum()), 1, 1)), labels[learned], sources[learned])
    weights = source_chances(films, len(saved["findings"]))
    head = fit_linear(features[learned], labels[learned], weights / weights.mean(), penalty=PENALTY)
    logits = head.logits(features)
    validating = saved["validating"]
    shift = SHIFT_SHARE * prior_shift(logits[validating], labels[validating], np.ones(int(validating.sum())))
    return Held(saved, logits + shift, head.logits(opened) + shift)


def area(positive: np.ndarray, scores: np.ndarray) -> str:
    """Return an AUROC, or a dash."""
    return f"{roc_auc_score(positive, scores):.3f}" if 0 < positive.sum() < len(positive) else "-"


def share(chosen: np.ndarray) -> str:
    """Return a share and its number."""
    return f"{chosen.mean():.1%} of {len(chosen)}" if len(chosen) else "-"


def lines(held: Held, coverage: float) -> list[str]:
    """Return the lines to print for one model, with sets of a promised coverage."""
    saved, names = held.saved, held.names
    covid, normal, other = names.index(COVID), names.index(NORMAL), names.index(OTHER)
    labels, validating = saved["labels"], saved["validating"]
    temperature = fit_temperature(held.logits[validating], labels[validating])
    known = softmax(held.logits[validating], temperature)
    limits = conformal_limits(conformal_thresholds(known, labels[validating], names, coverage), names)
    bank = np.flatnonzero(saved["learned"])
    bank = np.random.default_rng(0).permutation(bank)[:BANK_FILMS]
    features = saved["features"].astype(np.float32)
    detector = fit_detector(features[bank], features[validating], held.logits[validating])
    if detector is None:
        raise SystemExit("Too few films were learned from for an out-of-distribution detector.")

    def told(name: str, chosen: np.ndarray) -> str:
        logits, truth = held.logits[chosen], labels[chosen]
        probabilities = softmax(logits, temperature)
        sets = conformal_sets(probabilities, limits)
        refused = detector.outlier_score(features[chosen], logits) > detector.threshold
        likeliest = probabilities.argmax(axis=1)
        two = np.isin(truth, (covid, normal))
        ranked = area(truth[two] == covid, (logits[:, covid] - logits[:, normal])[two])
        by_probability = area(truth[two] == covid, probabilities[two, covid])
        rest = area(truth == covid, probabilities[:, covid])
        sick = truth == other
        single = ~refused & (sets.sum(axis=1) == 1)
        alone = single & (likeliest != other)
        parts = [
            f"{name} (n = {len(truth)}): right {share(likeliest == truth)}, refused {refused.mean():.1%}",
            f"covered {sets[np.arange(len(truth)), truth].mean():.1%} by {sets.sum(axis=1).mean():.2f} findings",
            f"one finding {single.mean():.1%}, one wrong finding {(single & (likeliest != truth)).mean():.1%}",
            f"Covid-19 against Normal {ranked} ({by_probability} by probability), against the rest {rest}",
            f"found {share(likeliest[truth == covid] == covid)}",
            f"Normal called Covid-19 {share(likeliest[truth == normal] == covid)}",
            f"Normal called other {share(likeliest[truth == normal] == other)}",
            f"other: one finding alone {share(alone[sick])}, called Covid-19 {share((likeliest == covid)[sick])}"
            f", called other {share((likeliest == other)[sick])}",
        ]
        return ", ".join(parts)

    found = [told("  learned from, test part", ~saved["held"] & ~saved["learned"] & ~validating)]
    found.append(told("  held out", saved["held"]))
    sources = sorted(set(saved["source"][saved["held"]]))
    found += [told(f"    {source}", saved["held"] & (saved["source"] == source)) for source in sources]
    hospitals = list(set(saved["hospital"][saved["held"]]))
    for source in sorted(set(saved["open_source"])):
        chosen = (saved["open_source"] == source) & np.isin(saved["open_hospital"], hospitals)
        if chosen.any():
            likeliest = held.open_logits[chosen].argmax(axis=1)
            counts = ", ".join(f"{name} {(likeliest == k).mean():.1%}" for k, name in enumerate(names))
            found.append(f"    {source}, left open ({chosen.sum()}): {counts}")
    return found


def adapted(held: Held) -> list[str]:
    """Return the lines of what adapting gains, for each source held out that has films of two findings."""
    saved, names = held.saved, held.names
    temperature = fit_temperature(held.logits[saved["validating"]], saved["labels"][saved["validating"]])
    found = []
    for source in sorted(set(saved["source"][saved["held"]])):
        here = np.flatnonzero(saved["held"] & (saved["source"] == source))
        truth = saved["labels"][here]
        if len(np.unique(truth)) < 2 or len(here) < MOST_LOCAL + 30:
            continue
        films = LocalFilms(
            held.logits[here].astype(np.float64),
            saved["features"][here].astype(np.float64),
            truth,
            saved["groups"][here],
        )
        parts = [f"    {source} as shipped {(films.logits.argmax(axis=1) == truth).mean():.1%}"]
        for number in LOCAL_FILMS:
            right, alarms = [], []
            for seed in range(DRAWS):
                chosen = np.isin(np.arange(len(here)), np.random.default_rng(seed).permutation(len(here))[:number])
                rest = films.part(~np.isin(films.groups, films.groups[chosen]))
                correction = choose_correction(films.part(chosen), temperature).correction
                answers = correction.logits(rest).argmax(axis=1)
                right.append((answers == rest.truth).mean())
                normal = rest.truth == names.index(NORMAL)
                alarms.append((answers[normal] == names.index(COVID)).mean() if normal.any() else np.nan)
            parts.append(f"adapted with {number}: {np.mean(right):.1%}, Normal called Covid-19 {np.mean(alarms):.1%}")
        found.append(", ".join(parts))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answers", type=Path, nargs="+")
    parser.add_argument("--head", choices=("trained", "shrunk"), default="trained")
    parser.add_argument("--coverage", type=float, default=CONFIG.coverage, help="of the sets (default: chest.toml)")
    parser.add_argument("--adapt", action="store_true", help="also what adapting gains: a minute for each file")
    options = parser.parse_args()
    for path in options.answers:
        with np.load(path, allow_pickle=False) as file:
            saved = {key: file[key] for key in file.files}
        held = shrunk(saved) if options.head == "shrunk" else Held(saved, saved["logits"], saved["open_logits"])
        print(f"without {path.stem}, {options.head} head", *lines(held, options.coverage), sep="\n", flush=True)
        if options.adapt:
            print(*adapted(held), sep="\n", flush=True)


if __name__ == "__main__":
    main()
