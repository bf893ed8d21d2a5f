"""The page of a study. Its words stand in templates/study.html.j2, its tables in study_tables.py."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.judge.study import MARGIN
from hilum.judge.study_result import AugmentationResult, BackbonesResult, NoiseResult, PolicyGroup, StudyResult
from hilum.judge.study_verdict import DEMANDS
from hilum.report.page import Section, html_page, render
from hilum.report.study_charts import CostPoint, change_plot, cost_plot, sweep_plot
from hilum.report.study_tables import DOSE_NAMES, dose_table, network_table, policy_table, quality_table

__all__ = ["Picture", "study_page"]

_SHORT = {"frozen": "frozen", "fine-tuned": "tuned", "from scratch": "scratch"}
_RESIDUAL_GAIN = 3.0


@dataclass(frozen=True, eq=False)
class Picture:
    """A film (S, S) in [0, 1] after a method or a policy, and what the method removed from it."""

    title: str
    film: NDArray[Any]
    removed: NDArray[Any] | None = None


def study_page(result: StudyResult, examples: Sequence[Picture]) -> str:
    """Return the page of a study.

    Args:
        result: What study.json holds.
        examples: Films after each method or policy.
    """
    if isinstance(result, NoiseResult):
        title, parts = f"Noise in {result.data.name}", _noise_parts(result, examples)
    elif isinstance(result, AugmentationResult):
        title, parts = f"Augmentation on {result.data.name}", _policy_parts(result, examples)
    elif isinstance(result, BackbonesResult):
        title, parts = f"Backbones on {result.data.name}", _network_parts(result)
    else:
        raise TypeError(f"No page is known for a study of {result.study}.")
    sections = [Section(anchor, heading, _part(anchor, result, **values)) for anchor, heading, values in parts]
    sections.append(Section("films", "Films, and how they were judged", _part("films", result)))
    footer = _part("footer", result)
    return html_page(title, "hilum study", _part("verdict", result), sections, footer=footer)


def _part(part: str, result: StudyResult, **values: object) -> str:
    name = "policies" if isinstance(values.get("group"), PolicyGroup) else part
    return render("study.html.j2", part=name, study=result, doses=DOSE_NAMES, demands=DEMANDS, **values)


Part = tuple[str, str, dict[str, object]]  # anchor, heading, what the template needs


# --- noise ----------------------------------------------------------------------------------------------------------


def _noise_parts(result: NoiseResult, examples: Sequence[Picture]) -> list[Part]:
    none, *rows = result.methods
    doses = list(none.changes.in_house)
    curves = [
        (
            row.title,
            sweep_plot(
                [DOSE_NAMES[dose].removesuffix(" dose").replace("as they are", "clean") for dose in doses],
                [row.changes.in_house[dose].figures.auroc for dose in doses],
                [none.changes.in_house[dose].figures.auroc for dose in doses],
                f"AUROC with {row.title} over doses, beside that without.",
                label="AUROC, %",
            ),
        )
        for row in rows
    ]
    forced = [
        (
            heading,
            change_plot(
                [(row.title, change.auroc) for row in rows if (change := getattr(row.changes.in_house["clean"], way))],
                MARGIN,
                f"Change in AUROC on clean films: {heading}.",
            ),
        )
        for way, heading in (("test_only", "Fitted on films as they are"), ("both", "Fitted on denoised films too"))
    ]
    removed = [
        (one.title, _jpeg(0.5 + _RESIDUAL_GAIN * one.removed))
        for one in examples
        if one.removed is not None and one.removed.any()
    ]
    films = [(one.title, _jpeg(one.film)) for one in examples]
    return [
        ("answers", "AUROC with each method", {"plots": curves, "table": dose_table(result)}),
        ("elsewhere", "On films of other sources", {"table": dose_table(result, elsewhere=True)}),
        ("forced", "Methods applied to clean films", {"plots": forced}),
        ("demands", "Demands on a method", {"rows": rows}),
        ("quality", "Image quality", {"table": quality_table(result)}),
        ("pictures", "One film after every method", {"films": films, "removed": removed}),
    ]


# --- augmentation and backbones -------------------------------------------------------------------------------------


def _policy_parts(result: AugmentationResult, examples: Sequence[Picture]) -> list[Part]:
    parts: list[Part] = []
    for backbone, group in result.backbones.items():
        plots = [
            (
                f"Against no augmentation, {where}",
                change_plot(
                    [
                        (row.title, change.auroc)
                        for row in group.policies
                        if (change := getattr(row.against_none, place))
                    ],
                    MARGIN,
                    f"Change in AUROC of each policy against none, {where}.",
                ),
            )
            for place, where in (("in_house", "here"), ("external", "on other sources"))
            if place == "in_house" or result.external
        ]
        is_one = len(result.backbones) == 1
        values = {"group": group, "plots": plots, "table": policy_table(result, backbone), "is_one": is_one}
        parts.append((backbone.lower(), backbone, values))
    films: dict[str, list[str]] = {}
    for one in examples:
        films.setdefault(one.title, []).append(_jpeg(one.film))
    parts.append(("policies-shown", "Films after each policy", {"films": films}))
    return parts


def _network_parts(result: BackbonesResult) -> list[Part]:
    dots = [
        CostPoint(f"{row.backbone} {row.size_px} {_SHORT[row.start]}", row.milliseconds or 0.0, row.auroc, row.best)
        for row in result.networks
        if not row.reason
    ]
    where = "on films of other sources" if result.external else "in cross-validation"
    plot = cost_plot(dots, "Milliseconds of one core a film", "AUROC", f"AUROC {where} over milliseconds a film.")
    return [
        ("cost", "AUROC and time", {"plot": plot, "where": where}),
        ("networks", "Networks", {"table": network_table(result)}),
    ]


def _jpeg(film: NDArray[Any]) -> str:
    """Return a film (S, S) in [0, 1] as a JPEG in base64."""
    grey = np.rint(np.clip(film, 0, 1) * 255).astype(np.uint8)
    return base64.b64encode(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()).decode()
