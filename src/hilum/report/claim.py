"""claim.md: two reporting checklists with what the run's files say; the rest is marked for a person.

The words are in templates/claim.md.j2, one macro a fact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hilum.judge.calibration import calibration_words
from hilum.judge.external.sources import RunMetrics
from hilum.judge.metrics import Confusion
from hilum.judge.parts import PARTS, headline_parts, judged_parts
from hilum.report.page import render
from hilum.report.run_page import OVERALL

__all__ = ["CLAIM", "TRIPOD_AI", "ClaimFacts", "Item", "claim_text"]

# Two checklists for reports on models that read images, each item in hilum's own words, and what a run knows of it.
#
# Sources:
# Tejani et al. 2024, Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 update, Radiology:
# Artificial Intelligence 6(4):e240300; 44 items.
# Collins et al. 2024, TRIPOD+AI statement, BMJ 385:e078378; 27 items, several in parts.


@dataclass(frozen=True)
class Item:
    """One item of a checklist.

    Attributes:
        number: As the checklist numbers it.
        topic: What it asks for.
        facts: Names of the facts of a run that answer it, in order; see claim.py.
        person: What only a person can say; empty where the run says all.
    """

    number: str
    topic: str
    facts: tuple[str, ...] = ()
    person: str = ""


CLAIM: tuple[Item, ...] = (
    Item("1", "Title: that this is artificial intelligence, and which kind", ("technology",), "the title"),
    Item("2", "Abstract with design, methods, results and conclusions", ("summary",), "design and conclusions"),
    Item("3", "Background, intended use, clinical role", ("intended_use",), "background and clinical role"),
    Item("4", "Aims and hypotheses", (), "aims and hypotheses"),
    Item("5", "Prospective or retrospective", ("retrospective",), "how the films were collected"),
    Item("6", "What the study is for: making, exploring or testing a model", ("goal",), "the study's own goal"),
    Item("7", "Where the data come from", ("data_set",), "hospitals, public sets, licences"),
    Item("8", "Who was included and who was not", ("exclusions",), "where, when and how patients were chosen"),
    Item("9", "How films were prepared", ("preprocessing",)),
    Item("10", "Which part of the data or of a film was used", ("selection",)),
    Item("11", "De-identification", ("privacy",), "how the films were de-identified before hilum read them"),
    Item("12", "Missing data", ("missing",)),
    Item("13", "How the films were taken", (), "devices, projections, settings"),
    Item("14", "What the reference standard is", ("reference",), "how a finding was established"),
    Item("15", "Why that reference standard", (), "the reasons, and its known weaknesses"),
    Item("16", "Who labelled the films", (), "readers, their training, other sources of labels"),
    Item("17", "How the test films were labelled", (), "whether apart from the training films, and by whom"),
    Item("18", "How far readers agree", ("label_conflicts",), "agreement within and between readers"),
    Item("19", "How films were assigned to parts", ("partitions",)),
    Item("20", "At which level the parts are apart", ("disjoint",), "whether patients are known"),
    Item("21", "Size of the test", ("test_size",), "how the size was chosen"),
    Item("22", "The model", ("model",)),
    Item("23", "Software", ("software",)),
    Item("24", "First weights", ("initial_weights",)),
    Item("25", "Training", ("training", "augmentation")),
    Item("26", "How the final model was chosen", ("model_choice",)),
    Item("27", "Ensembles", ("ensemble",)),
    Item("28", "Measures of performance", ("measures",)),
    Item("29", "Uncertainty and significance", ("uncertainty",)),
    Item("30", "Robustness", ("robustness",), "other analyses of robustness"),
    Item("31", "Explanation", ("explanation",)),
    Item("32", "Test on data like the training data", ("internal_figures",)),
    Item("33", "Test on other data", ("external_figures",), "tests on films of other hospitals"),
    Item("34", "Registration of a trial", (), "registry and number, or none"),
    Item("35", "Numbers included and excluded", ("film_counts", "exclusions"), "numbers of patients"),
    Item("36", "Who the patients of each part are", (), "ages, sexes, severity, by part"),
    Item("37", "Performance with its uncertainty", ("internal_figures",)),
    Item("38", "Diagnostic accuracy", ("diagnostic_accuracy",)),
    Item("39", "Failures", ("failures",), "what the failures have in common"),
    Item("40", "Limits", ("limits",), "further limits"),
    Item("41", "What it means for practice", ("intended_use",), "the clinical role"),
    Item("42", "Protocol and technical details", ("protocol",), "a study protocol, where there is one"),
    Item("43", "Availability of software, model and data", ("availability",), "where model and data can be had"),
    Item("44", "Funding", (), "sources of money and their role"),
)

TRIPOD_AI: tuple[Item, ...] = (
    Item("1", "Title", ("technology",), "the title, with population and outcome"),
    Item("2", "Abstract", ("summary",), "a structured abstract"),
    Item("3a", "Medical context and earlier models", (), "context and earlier models"),
    Item("3b", "Whom the model is for, and its use", ("intended_use",), "patients, users and place in care"),
    Item("3c", "Known inequalities in health", (), "inequalities between groups of patients"),
    Item("4", "Objectives", ("goal",), "the study's own objectives"),
    Item("5a", "Sources of data", ("data_set",), "why these, and whom they stand for"),
    Item("5b", "Dates of the data", (), "first and last date"),
    Item("6a", "Setting", (), "kind, number and place of the hospitals"),
    Item("6b", "Eligibility", ("exclusions",), "who could take part"),
    Item("6c", "Treatments", (), "treatments, where they matter"),
    Item("7", "Data preparation", ("preprocessing", "selection")),
    Item("8a", "Outcome", ("reference",), "definition of each finding"),
    Item("8b", "Assessors of the outcome", (), "who labelled, and with what training"),
    Item("8c", "Blinding of the assessors", (), "what the assessors knew"),
    Item("9a", "Choice of predictors", ("predictors",)),
    Item("9b", "Definition of predictors", ("preprocessing",)),
    Item("9c", "Assessors of predictors", ("predictor_assessors",)),
    Item("10", "Sample size", ("film_counts", "test_size"), "how the size was chosen"),
    Item("11", "Missing data", ("missing",)),
    Item("12a", "How data were used", ("partitions", "disjoint")),
    Item("12b", "Form of the predictors", ("preprocessing", "augmentation")),
    Item("12c", "Kind of model, building, internal validation", ("model", "training", "model_choice", "robustness")),
    Item("12d", "Differences between hospitals", ("external_figures",), "how hospitals differ"),
    Item("12e", "Measures of performance", ("measures", "uncertainty")),
    Item("12f", "Updating of the model", ("updating",)),
    Item("12g", "How predictions are computed", ("output",)),
    Item("13", "Imbalance of classes", ("imbalance",)),
    Item("14", "Fairness", ("fairness",), "figures by groups of patients"),
    Item("15", "Output of the model", ("output",)),
    Item(
        "16", "Differences between training and evaluation data", ("partitions",), "differences in setting and people"
    ),
    Item("17", "Ethics", (), "approval and consent"),
    Item("18a", "Funding", (), "sources of money and their role"),
    Item("18b", "Conflicts of interest", (), "of all authors"),
    Item("18c", "Protocol", ("protocol",), "where the study's protocol is"),
    Item("18d", "Registration", (), "registry and number, or none"),
    Item("18e", "Availability of data", (), "where the data can be had"),
    Item("18f", "Availability of code", ("availability",), "where the model can be had"),
    Item("19", "Part of patients and public", (), "their part, or none"),
    Item("20a", "Flow of participants", ("film_counts", "exclusions"), "numbers of patients"),
    Item("20b", "Who the participants are", (), "characteristics, by hospital"),
    Item("20c", "Training and evaluation compared", ("film_counts",), "predictors and people compared"),
    Item("21", "Numbers in model development", ("film_counts",)),
    Item("22", "The full model", ("specification",)),
    Item(
        "23a", "Performance with its uncertainty", ("internal_figures", "diagnostic_accuracy"), "by groups of patients"
    ),
    Item("23b", "Differences in performance between hospitals", ("external_figures",), "further hospitals"),
    Item("24", "Results of updating", ("updating",)),
    Item("25", "Interpretation", (), "what the results mean beside earlier work"),
    Item("26", "Limits", ("limits",), "further limits"),
    Item("27a", "Films of poor quality, or none", ("refusal",)),
    Item("27b", "What users must do and know", ("user_part",), "skills of the users"),
    Item("27c", "Next steps", (), "what research should follow"),
)


FOR_A_PERSON = "*For a person to fill in*"
_SPLITS = ("train", "validation", "test")
_MOST_SLIPS = 6


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
    metrics: RunMetrics
    settings: Mapping[str, Any]
    audit: Mapping[str, Any]
    data_name: str
    has_test: bool
    num_epochs: int
    software: str
    kept: str = ""


def claim_text(facts: ClaimFacts) -> str:
    """Return claim.md: CLAIM 2024 and TRIPOD+AI, item by item."""
    judged = judged_parts(facts.metrics)
    headline = headline_parts(judged)
    kinds = Counter(fault["kind"] for fault in facts.audit["faults"])
    serious = Counter(fault["kind"] for fault in facts.audit["faults"] if fault["severity"] != "note")
    films = facts.audit["figures"]["films"]
    policy, changes = _augmentation(facts.settings["augmentation"])
    text = render(
        "claim.md.j2",
        person=Markup(FOR_A_PERSON),
        checklists={"CLAIM 2024": CLAIM, "TRIPOD+AI": TRIPOD_AI},
        metadata=facts.metadata,
        metrics=facts.metrics,
        settings=facts.settings,
        audit=facts.audit,
        data_name=facts.data_name,
        has_test=facts.has_test,
        num_epochs=facts.num_epochs,
        versions=facts.software,
        kept=facts.kept,
        parts=PARTS,
        overall=OVERALL,
        headline=headline,
        judged=list(judged),
        right=judged[headline[0]].confusion.num_right if headline else 0,
        slips=_slips(judged[headline[0]].confusion) if headline else [],
        held_out={name: one for name, one in (facts.metrics.leave_one_source_out or {}).items() if one},
        kinds=kinds,
        serious_kinds=dict(sorted(serious.items())),
        counts={split: sum(films[split].values()) for split in _SPLITS},
        is_from_scratch=facts.settings["backbone"] == "plain-cnn" or facts.settings["weights"] == "none",
        policy=policy,
        changes=changes,
        calibration=calibration_words(facts.metadata["temperature"], facts.metadata.get("calibration") or {}),
    )
    return str(text)


def _augmentation(settings: Mapping[str, Any]) -> tuple[str, dict[str, float]]:
    """Return the policy, and the changes with their strengths that it uses."""
    policy = str(settings.get("policy", "changes"))
    unused = "policy_strength" if policy == "changes" else ""  # of the other policies
    changes = {
        name.replace("_", " "): value
        for name, value in settings.items()
        if isinstance(value, float) and value and name != unused
    }
    return policy, changes


def _slips(confusion: Confusion) -> list[tuple[int, str, str]]:
    """Return how many films of which finding were answered with which other, the most frequent mistakes first."""
    names = confusion.findings
    slips = [
        (count, names[row], names[column])
        for row, counts in enumerate(confusion.counts)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    return sorted(slips, reverse=True)[:_MOST_SLIPS]
