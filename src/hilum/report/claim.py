"""claim.md: two reporting checklists with what the run's files say; the rest is marked for a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hilum.console import count_of
from hilum.judge.calibration import calibration_words
from hilum.judge.parts import PARTS, correct_films, headline_parts, judged_parts
from hilum.report.checklists import CLAIM, TRIPOD_AI, Item
from hilum.report.markdown import figure_text, inline, listed, lower_first, numbered
from hilum.report.run_page import OVERALL
from hilum.text import percent

__all__ = ["ClaimFacts", "claim_text"]

FOR_A_PERSON = "*For a person to fill in*"
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class ClaimFacts:
    """All that a run knows of itself.

    Attributes:
        metadata: Of the model file.
        metrics: What metrics.json holds.
        settings: The run's settings, as config.toml holds them.
        audit: What audit.json holds.
        data_name: The data set's name.
        has_test: Whether the data set brought its test part.
        num_epochs: Epochs that were run; the head's own fit is none.
        software: Names and versions.
        kept: Which weights were kept, in a sentence; empty where it is not known.
    """

    metadata: Mapping[str, Any]
    metrics: Mapping[str, Any]
    settings: Mapping[str, Any]
    audit: Mapping[str, Any]
    data_name: str
    has_test: bool
    num_epochs: int
    software: str
    kept: str = ""


def claim_text(facts: ClaimFacts) -> str:
    """Return claim.md: CLAIM 2024 and TRIPOD+AI, item by item."""
    known = {name: write(facts) for name, write in _FACTS.items()}
    blocks = [
        f"# Reporting checklists: {inline(facts.metadata['name'])}",
        f"Filled in by hilum from the run's own files. {FOR_A_PERSON} marks what software cannot know. The items are "
        "in hilum's words; the checklists themselves stand in Tejani et al., Radiology: Artificial Intelligence 2024 "
        "(CLAIM, 2024 update) and Collins et al., BMJ 2024 (TRIPOD+AI).",
    ]
    for title, items in (("CLAIM 2024", CLAIM), ("TRIPOD+AI", TRIPOD_AI)):
        whole = sum(bool(_said(item, known)) and not item.person for item in items)
        partly = sum(bool(_said(item, known)) and bool(item.person) for item in items)
        blocks.append(
            f"## {title}\n\nOf {len(items)} items and parts {whole} are filled in, {partly} in part, "
            f"{len(items) - whole - partly} are for a person."
        )
        blocks += [_item(item, known) for item in items]
    return "\n\n".join(blocks) + "\n"


def _said(item: Item, known: Mapping[str, str]) -> list[str]:
    return [known[name] for name in item.facts if known[name]]


def _item(item: Item, known: Mapping[str, str]) -> str:
    said = _said(item, known)
    lines = [f"**{item.number}. {item.topic}.**", *said]
    if item.person or not said:
        lines.append(f"{FOR_A_PERSON}{f': {item.person}' if item.person else ''}.")
    return " ".join(lines)


# --- facts, each a sentence or a few ----------------------------------------------------------------------------------


def _summary(facts: ClaimFacts) -> str:
    counts = _counts(facts)
    parts = headline_parts(facts.metrics)
    figure = ""
    if parts:
        judged = facts.metrics[parts[0]]
        figure = (
            f" {PARTS[parts[0]][0]}: {correct_films(judged)} of {judged['n']} films right, "
            f"{figure_text(judged['accuracy'])} per cent (95 % interval)."
        )
    return (
        f"A classifier of {listed(facts.metadata['findings'])} on frontal chest radiographs, trained on "
        f"{counts['train']} films, {counts['validation']} more to stop and calibrate on, {counts['test']} to test on."
        f"{figure}"
    )


def _film_counts(facts: ClaimFacts) -> str:
    films = facts.audit["figures"]["films"]
    parts = [f"{split} {sum(films[split].values())} ({numbered(films[split])})" for split in _SPLITS]
    return f"Films: {'; '.join(parts)}."


def _data_set(facts: ClaimFacts) -> str:
    text = f"The data set `{inline(facts.data_name, code=True)}`, {facts.audit['figures']['num_films']} films."
    sources = facts.metrics.get("leave_one_source_out")
    return text + (f" Sources named in its manifest: {listed(sources)}." if sources else "")


def _exclusions(facts: ClaimFacts) -> str:
    figures = facts.audit["figures"]
    unread = figures["num_unreadable"]
    refused = f" {figures['num_refused']} were refused as no films of a chest." if figures.get("num_refused") else ""
    return (
        f"{count_of(unread, 'film')} could not be read and {'was' if unread == 1 else 'were'} left out (named in "
        f"audit.json).{refused} hilum excluded no other film."
    )


def _preprocessing(facts: ClaimFacts) -> str:
    used = facts.metadata["preprocessing"]
    low, high = used["window_percentiles"]
    equalised = ", then histogram equalisation" if used.get("equalize") else ""
    if used.get("denoise", "none") != "none":
        equalised = f", noise taken out of noisy films ({used['denoise']}){equalised}"
    return (
        "Each film is decoded to grey (DICOM with its VOI LUT or window and photometric interpretation, bone bright), "
        f"stretched to {used['size_px']} x {used['size_px']} pixels, its grey values between the "
        f"{low:g}th and {high:g}th percentile brought to 0 to 1{equalised}. The same code serves the model."
    )


def _label_conflicts(facts: ClaimFacts) -> str:
    num = sum(fault["kind"] == "label-conflict" for fault in facts.audit["faults"])
    return f"Agreement of readers is not known to hilum. Pictures that stand twice under different findings: {num}."


def _partitions(facts: ClaimFacts) -> str:
    data, counts = facts.settings["data"], _counts(facts)
    test = (
        "The test part is the data set's own."
        if facts.has_test
        else f"The test part was drawn: {data['test_fraction']:.0%} of the films, by groups, stratified by finding."
    )
    text = (
        f"{test} Validation: {data['validation_fraction']:.0%} of the remaining films, drawn alike unless the data set "
        f"names them. Seed {facts.settings['seed']}. Films: {listed(f'{name} {counts[name]}' for name in _SPLITS)}; "
        "splits.csv names the part of each film."
    )
    if facts.settings["folds"]:
        text += f" Cross-validation: {facts.settings['folds']} folds of all films but the test part, by groups."
    return text


def _disjoint(facts: ClaimFacts) -> str:
    figures = facts.audit["figures"]
    leaks = sum(fault["kind"] == "leak" for fault in facts.audit["faults"])
    text = (
        f"Groups: twins (the same picture twice, {figures['num_twin_pairs']} pairs) and films of one patient, where "
        f"the patient is known, never cross what hilum divides; {figures['num_groups']} groups in "
        f"{figures['num_films']} films."
    )
    if leaks:
        text += (
            f" The test part that the data set brought leaks: {leaks} of its films have a twin in the training part. "
            "The clean test leaves these out."
        )
    return text


def _test_size(facts: ClaimFacts) -> str:
    parts = headline_parts(facts.metrics)
    texts = []
    for name in parts:
        judged = facts.metrics[name]
        width = 100 * (judged["accuracy"]["high"] - judged["accuracy"]["low"])
        texts.append(
            f"{PARTS[name][0]}: {judged['n']} films, so that the 95 % interval of accuracy is {width:.1f} points wide."
        )
    return " ".join(texts)


def _model(facts: ClaimFacts) -> str:
    size = facts.metadata["preprocessing"]["size_px"]
    return (
        f"{facts.settings['backbone']}, a convolutional network. Input: one grey film of {size} x {size} pixels. "
        f"Output: a logit for each of {len(facts.metadata['findings'])} findings "
        f"({listed(facts.metadata['findings'])}), and from the same pass the maps of evidence. Every operation stands "
        "in model.onnx."
    )


def _training(facts: ClaimFacts) -> str:
    fit = facts.settings["fit"]
    epochs = f"at most {count_of(fit['epochs'], 'epoch')}"
    run = f"{count_of(facts.num_epochs, 'epoch')} {'was' if facts.num_epochs == 1 else 'were'}"
    if _is_from_scratch(facts):
        stages = f"From random weights: all layers for {epochs}"
    elif fit["epochs"]:
        stages = f"The head's own fit, then a fine-tuning of the upper {fit['trainable_fraction']:.0%} of the layers "
        stages += f"for {epochs}"
    else:
        stages = "The head's own fit, then no fine-tuning"
    return (
        f"{stages} ({run} run; history.csv): {fit['optimiser']}, learning rate "
        f"{fit['learning_rate']:g}, weight decay {fit['weight_decay']:g}, {fit['batch_size']} films a step, dropout "
        f"{fit['dropout']:g}, label smoothing {fit['label_smoothing']:g}, class weights {fit['class_weights']}."
    )


def _is_from_scratch(facts: ClaimFacts) -> bool:
    return facts.settings["backbone"] == "plain-cnn" or facts.settings["weights"] == "none"


def _start_words(facts: ClaimFacts) -> str:
    return "the random weights" if _is_from_scratch(facts) else "the head's own fit"


def _augmentation(facts: ClaimFacts) -> str:
    changes = {name: value for name, value in facts.settings["augmentation"].items() if isinstance(value, float)}
    policy = str(facts.settings["augmentation"].get("policy", "changes"))
    if policy == "changes":
        changes.pop("policy_strength", None)  # of the other policies
    used = [f"{name.replace('_', ' ')} {value:g}" for name, value in changes.items() if value]
    named = "" if policy == "changes" else f", by the policy {policy}"
    return f"Augmentation of training films{named}: {', '.join(used)}." if used else "No augmentation."


def _robustness(facts: ClaimFacts) -> str:
    texts = []
    crossed = facts.metrics.get("cross_validation")
    if crossed:
        texts.append(
            f"Cross-validation by groups, {crossed['n']} films: accuracy {figure_text(crossed['accuracy'])} per cent, "
            f"macro F1 {figure_text(crossed['macro_f1'])}."
        )
    return " ".join([*texts, _external_figures(facts)]).strip()


def _internal_figures(facts: ClaimFacts) -> str:
    texts = []
    for name in judged_parts(facts.metrics):
        judged = facts.metrics[name]
        figures = [f"accuracy {figure_text(judged['accuracy'])}"]
        figures += [f"{lower_first(title)} {figure_text(judged[key])}" for key, title in OVERALL.items()]
        texts.append(
            f"{PARTS[name][0]} ({judged['n']} films): {', '.join(figures)}, calibration error {percent(judged['ece'])}."
        )
    return f"Per cent, with 95 % intervals. {' '.join(texts)}" if texts else ""


def _external_figures(facts: ClaimFacts) -> str:
    texts = []
    for source, judged in (facts.metrics.get("leave_one_source_out") or {}).items():
        if judged:
            texts.append(
                f"{inline(source)} ({judged['n']} films): accuracy {figure_text(judged['accuracy'])}, mean recall "
                f"{figure_text(judged['balanced_accuracy'])}, AUROC {figure_text(judged['auroc_macro'])}."
            )
    if not texts:
        return ""
    return f"Each source judged by a model that saw none of its films, per cent with 95 % intervals. {' '.join(texts)}"


def _diagnostic_accuracy(facts: ClaimFacts) -> str:
    parts = headline_parts(facts.metrics)
    if not parts:
        return ""
    texts = [
        f"{inline(finding)} ({values['n']} films): sensitivity {figure_text(values['sensitivity'])}, specificity "
        f"{figure_text(values['specificity'])}, precision {figure_text(values['precision'])}, AUROC "
        f"{figure_text(values['auroc'])}."
        for finding, values in facts.metrics[parts[0]]["per_finding"].items()
    ]
    return f"{PARTS[parts[0]][0]}, per cent with 95 % intervals. {' '.join(texts)}"


def _failures(facts: ClaimFacts) -> str:
    parts = headline_parts(facts.metrics)
    if not parts:
        return ""
    confusion = facts.metrics[parts[0]]["confusion"]
    names = [inline(name) for name in confusion["findings"]]
    slips = [
        (count, names[row], names[column])
        for row, counts in enumerate(confusion["counts"])
        for column, count in enumerate(counts)
        if row != column and count
    ]
    if not slips:
        return f"{PARTS[parts[0]][0]}: no film was answered wrongly."
    listing = ", ".join(
        f"{truth} answered {answer} {count}" for count, truth, answer in sorted(slips, reverse=True)[:6]
    )
    return f"{PARTS[parts[0]][0]}: {listing}. report.html shows the surest mistakes with their heat maps."


def _limits(facts: ClaimFacts) -> str:
    kinds: dict[str, int] = {}
    for fault in facts.audit["faults"]:
        if fault["severity"] != "note":
            kinds[fault["kind"]] = kinds.get(fault["kind"], 0) + 1
    found = (
        f" The audit found: {', '.join(f'{kind} {count}' for kind, count in sorted(kinds.items()))}." if kinds else ""
    )
    return (
        "The figures hold for films like those judged; labels are taken as the truth; probabilities are calibrated for "
        f"the mix of findings in the validation films; a film of any other disease gets one of the findings known."
        f"{found}"
    )


def _output(facts: ClaimFacts) -> str:
    metadata = facts.metadata
    counts = _counts(facts)
    thresholds = ", ".join(f"{inline(name)} {value:.3f}" for name, value in metadata["operating_thresholds"].items())
    calibration = metadata.get("calibration") or {}
    kind, num = calibration.get("method", "validation"), calibration.get("n", counts["validation"])
    return (
        f"Logits divided by the temperature {metadata['temperature']:.3f}, then softmax: a probability of each "
        f"finding. Beside it the set of findings that cannot be ruled out (coverage {metadata['coverage']:.0%}, within "
        f"each finding), and each finding's operating threshold ({thresholds}). All three were set on {num} {kind} "
        f"films ({calibration_words(metadata['temperature'], calibration)})."
    )


def _imbalance(facts: ClaimFacts) -> str:
    ways = {
        "balanced": "Every finding weighs the same in training, whatever its number of films.",
        "none": "No weighting: every film weighs the same.",
    }
    films = facts.audit["figures"]["films"]["train"]
    return (
        f"Training films: {numbered(films)}. {ways[facts.settings['fit']['class_weights']]} "
        "Calibration keeps the mix as it is."
    )


def _refusal(facts: ClaimFacts) -> str:
    gate = facts.metadata.get("gate")
    more = (
        " or that are strange to the model (far from the training films, with little evidence or much doubt)"
        if gate
        else ""
    )
    return (
        "A file that cannot be read gives an error. Films that are too small, without contrast, or lateral by their "
        f"own header{more} are refused with the reason; their probabilities are still given. Other poor films are "
        "judged."
    )


def _initial_weights(facts: ClaimFacts) -> str:
    weights = {"imagenet": "ImageNet", "chest": "chest-film"}.get(facts.settings["weights"], "random")
    return f"Backbone: {weights} weights. Head: random, from seed {facts.settings['seed']}, before its fit."


def _explanation(facts: ClaimFacts) -> str:
    way = (
        "The last maps times the gradient of the finding's logit"
        if facts.settings["backbone"] == "plain-cnn"
        else "Class activation maps, exact for this head"
    )
    return f"{way}, out of the same pass. They show where, not why; how well they point at disease was not measured."


def _protocol(facts: ClaimFacts) -> str:
    return (
        "config.toml holds every setting, splits.csv the part of each film, predictions.csv every answer, audit.json "
        f"what was found in the data, history.csv the training. Seed {facts.settings['seed']}."
    )


def _counts(facts: ClaimFacts) -> dict[str, int]:
    films = facts.audit["figures"]["films"]
    return {split: sum(films[split].values()) for split in _SPLITS}


def _fixed(text: str) -> Callable[[ClaimFacts], str]:
    return lambda _: text


_FACTS: Mapping[str, Callable[[ClaimFacts], str]] = {
    "technology": lambda facts: f"Deep learning: a convolutional network, {facts.settings['backbone']}.",
    "summary": _summary,
    "intended_use": _fixed("For research and teaching. Not a medical device: not to diagnose, treat or decide by."),
    "retrospective": _fixed("Trained and judged on films that existed already."),
    "goal": _fixed("Making a model and testing it."),
    "data_set": _data_set,
    "exclusions": _exclusions,
    "preprocessing": _preprocessing,
    "selection": _fixed("Every readable film of the data set, and the whole of each film: it is not cropped."),
    "privacy": _fixed(
        "hilum writes no patient's name or identifier into any result. The model file keeps a 32-byte hash of "
        "each training film."
    ),
    "missing": _fixed("Each film has one finding and one picture: nothing else is used, so nothing is imputed."),
    "reference": _fixed("The name of the film's folder, or its line in the manifest, taken as the truth."),
    "label_conflicts": _label_conflicts,
    "partitions": _partitions,
    "disjoint": _disjoint,
    "test_size": _test_size,
    "film_counts": _film_counts,
    "model": _model,
    "software": lambda facts: f"{facts.software}.",
    "initial_weights": _initial_weights,
    "training": _training,
    "augmentation": _augmentation,
    "model_choice": lambda facts: (
        "The epoch with the lowest validation loss, "
        f"{_start_words(facts)} among them; training stops after "
        f"{facts.settings['fit']['patience']} epochs without a better one. Test films had no part in it. {facts.kept}"
    ),
    "ensemble": _fixed("None: one network."),
    "measures": _fixed(
        "Accuracy, balanced accuracy, macro F1, AUROC of each finding against the rest and their mean, precision, "
        "recall, F1, sensitivity and specificity at thresholds chosen on validation films, calibration error (15 bins)."
    ),
    "uncertainty": _fixed(
        "95 % intervals: Wilson's for accuracy, else a bootstrap of 1,000 resamples of whole groups. Two runs are "
        "compared by `hilum compare` (McNemar, DeLong, bootstrap of groups)."
    ),
    "robustness": _robustness,
    "explanation": _explanation,
    "internal_figures": _internal_figures,
    "external_figures": _external_figures,
    "diagnostic_accuracy": _diagnostic_accuracy,
    "failures": _failures,
    "limits": _limits,
    "protocol": _protocol,
    "availability": _fixed(
        "hilum is free software (Apache-2.0). The model is one file, model.onnx, that any ONNX tool opens."
    ),
    "predictors": _fixed("The pixels of one film. No age, sex, history or laboratory value is used."),
    "predictor_assessors": _fixed("None: the pixels are read by software."),
    "updating": _fixed("The model was not updated after it was judged."),
    "output": _output,
    "imbalance": _imbalance,
    "fairness": _fixed("hilum does not know age, sex or origin of the patients, and did nothing about them."),
    "specification": _fixed(
        "model.onnx is the full model: graph, weights, preprocessing, temperature, thresholds, figures."
    ),
    "refusal": _refusal,
    "user_part": _fixed("Users give a frontal chest film as PNG, JPEG or DICOM; nothing is entered by hand."),
}
