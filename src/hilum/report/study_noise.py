"""The page of `hilum study noise`: what each method does to films, and what a classifier makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.judge.study.changes import MARGIN
from hilum.judge.study.noise_verdict import CRITERIA
from hilum.report.markup import signed_cell
from hilum.report.page import Section
from hilum.report.study_charts import change_plot, sweep_plot
from hilum.report.study_parts import change_cell, films_section, picture, study_html, table
from hilum.text import escape

__all__ = ["Example", "noise_page"]

_CONDITIONS = {"clean": "as they are", "high": "high dose", "medium": "medium dose", "low": "low dose"}
_TICKS = {"clean": "clean", "high": "high", "medium": "medium", "low": "low"}
_RESIDUAL_GAIN = 3.0


@dataclass(frozen=True, eq=False)
class Example:
    """One film after one method.

    Attributes:
        name: What to call it.
        film: (S, S) in [0, 1].
        residual: (S, S), what was taken out; None of the clean film.
    """

    name: str
    film: NDArray[np.float32]
    residual: NDArray[np.float32] | None


def noise_page(figures: Mapping[str, Any], examples: Sequence[Example]) -> str:
    """Return the page from what study.json holds, and one film after every method."""
    sections = [
        Section("answers", "What the classifier makes of it", _answers(figures)),
        Section("elsewhere", "On films of other sources", _elsewhere(figures)),
        Section("forced", "Methods applied to clean films all the same", _forced(figures)),
        Section("demands", "The demands", _demands(figures)),
        Section("quality", "What becomes of the films", _quality(figures)),
        Section("pictures", "One film, every method", _pictures(examples)),
        films_section(figures, _remarks(figures)),
    ]
    return study_html(f"Noise in {figures['data']['name']}", figures["verdict"]["words"], sections)


def _methods(figures: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(figures["methods"][1:])


def _answers(figures: Mapping[str, Any]) -> str:
    none = figures["methods"][0]["changes"]["in_house"]
    conditions = [name for name in _CONDITIONS if name in none]
    rows = "".join(
        f'<tr><th scope="row">{escape(row["title"])}</th>'
        + "".join(change_cell(row["changes"]["in_house"][name]["option"]) for name in conditions)
        + signed_cell(row["shortcuts"]["change"])
        + "</tr>"
        for row in _methods(figures)
    )
    trained = figures["noise_in_training"]["in_house"]
    rows += (
        '<tr><th scope="row">Nothing taken out, but noisy copies learned from</th>'
        + "".join(change_cell(trained[name]) for name in conditions)
        + "<td>–</td></tr>"
    )
    plots = "".join(
        f"<figure><figcaption><b>{escape(row['title'])}</b></figcaption>"
        + sweep_plot(
            [_TICKS[name] for name in conditions],
            [row["changes"]["in_house"][name]["figures"]["auroc"] for name in conditions],
            [none[name]["figures"]["auroc"] for name in conditions],
            "AUROC",
            f"AUROC with {row['title']} over doses, beside that without.",
        )
        + "</figure>"
        for row in _methods(figures)
    )
    return (
        '<p class="lede">A head fitted on films as they are, shown films with noise. As an option a method leaves '
        f"films alone in which it finds noise below {100 * figures['least_noise']:g} % of the range.</p>"
        f'<p class="keys fine"><span><i class="key"></i>with the method, 95 % interval</span>'
        '<span><i class="key second"></i>without</span></p>'
        f'<div class="multiples">{plots}</div>'
        + table(
            "Changes by method and dose",
            ("Change in AUROC, points", *(_CONDITIONS[name] for name in conditions), "Lead over border, points"),
            rows,
            "Macro AUROC with the method minus without, on the same films and folds. Lead over border: by how much the "
            "whole film is right more often than its border alone, against the same without the method, fitted on "
            "denoised films too; a fall would mean that the method feeds shortcuts.",
        )
    )


def _elsewhere(figures: Mapping[str, Any]) -> str:
    if not figures["external"]:
        return "<p>Not looked at: no films of other sources were given (--external).</p>"
    conditions = [name for name in _CONDITIONS if name in figures["methods"][0]["changes"]["external"]]
    rows = "".join(
        f'<tr><th scope="row">{escape(row["title"])}</th>'
        + "".join(change_cell(row["changes"]["external"][name]["option"]) for name in conditions)
        + change_cell(row["changes"]["external"]["medium"]["both"])
        + "</tr>"
        for row in _methods(figures)
    )
    trained = figures["noise_in_training"]["external"]
    rows += (
        '<tr><th scope="row">Nothing taken out, but noisy copies learned from</th>'
        + "".join(change_cell(trained[name]) for name in conditions)
        + "<td>–</td></tr>"
    )
    before = figures["methods"][0]["changes"]["external"]
    told = ", ".join(
        f"{_CONDITIONS[name]} {100 * before[name]['figures']['auroc']['value']:.1f} %" for name in conditions
    )
    return f'<p class="lede">Macro AUROC without any method: {told}.</p>' + table(
        "Changes on films of other sources",
        (
            "Change in AUROC, points",
            *(f"option, {_CONDITIONS[name]}" for name in conditions),
            "medium dose, fitted on denoised films too",
        ),
        rows,
    )


def _forced(figures: Mapping[str, Any]) -> str:
    parts = []
    for way, heading in (("test_only", "Fitted on films as they are"), ("both", "Fitted on denoised films too")):
        rows = [(row["title"], row["changes"]["in_house"]["clean"][way]["auroc"]) for row in _methods(figures)]
        words = f"Change in AUROC on clean films, {heading.lower()}."
        parts.append(f"<figure><figcaption><b>{heading}</b></figcaption>{change_plot(rows, MARGIN, words)}</figure>")
    return (
        '<p class="lede">What a method does to films that do not need it. The dotted line is the margin of one point: '
        "an interval to the right of it is no worse.</p>"
        f'<div class="pair">{"".join(parts)}</div>'
    )


def _demands(figures: Mapping[str, Any]) -> str:
    rows = _methods(figures)
    body = "".join(
        f'<tr><th scope="row">{escape(one.words)}</th>'
        + "".join(f"<td>{'yes' if row['verdict']['criteria'][one.key] else '<b>no</b>'}</td>" for row in rows)
        + "</tr>"
        for one in CRITERIA
    )
    return (
        '<p class="lede">The limits were set before anything was measured; the verdict follows from them.</p>'
        + table("Demands", ("Demand", *(row["title"] for row in rows)), body)
    )


def _quality(figures: Mapping[str, Any]) -> str:
    body = "".join(
        f'<tr><th scope="row">{escape(row["title"])} <small>{escape(row["settings"])}</small></th>'
        + "".join(
            f"<td>{row['fidelity'][dose]['psnr']:.1f}<small>{row['fidelity'][dose]['ssim']:.3f}</small></td>"
            for dose in figures["doses"]
        )
        + f"<td>{row['clean']['psnr']:.1f}</td><td>{100 * row['clean']['edges_kept']:.0f}</td>"
        f"<td>{row['structure']['rib_contrast']:.2f}</td><td>{row['structure']['mtf50']:.3f}</td>"
        f"<td>{row['structure']['mtf50_clean']:.3f}</td><td>{row['residual_likeness']:.2f}</td>"
        f"<td>{row['milliseconds']:.1f}</td></tr>"
        for row in figures["methods"]
    )
    noise = figures["noise"]
    put = ", ".join(
        f"{dose} {100 * noise[dose]['put_in']:.1f} % (found {100 * noise[dose]['found']:.1f} %)"
        for dose in figures["doses"]
    )
    heads = (
        "Method",
        *(f"PSNR, SSIM, {dose} dose" for dose in figures["doses"]),
        "PSNR, clean film",
        "Edges kept, clean, %",
        "Rib contrast",
        "MTF50, noise",
        "MTF50, no noise",
        "Likeness",
        "ms a film",
    )
    count = figures["methods"][0]["n_quality"]
    return f'<p class="lede">Noise put into the films, in the middle: {escape(put)}.</p>' + table(
        "Quality of films",
        heads,
        body,
        f"{count} films at the network's size; rib contrast and noisy MTF50 at the medium dose, on phantoms and a "
        "slanted edge. PSNR in dB against the film without noise, SSIM beneath it; rib contrast: ribs against lung "
        "over what is left of the noise; MTF50 in cycles a pixel; likeness: how far what was taken out looks like "
        "anatomy; milliseconds of one core. None of these predicts what the classifier makes of the films.",
    )


def _pictures(examples: Sequence[Example]) -> str:
    films = "".join(picture(one.film, one.name) for one in examples)
    residuals = "".join(
        picture(0.5 + _RESIDUAL_GAIN * one.residual, one.name)
        for one in examples
        if one.residual is not None and one.residual.any()
    )
    return (
        '<p class="lede">A film as a low dose would have drawn it, before equalising.</p>'
        f'<div class="tiles">{films}</div><h3>What was taken out, three times enlarged in contrast</h3>'
        '<p class="fine">Noise alone looks like sand; outlines of ribs in it are anatomy lost.</p>'
        f'<div class="tiles">{residuals}</div>'
    )


def _remarks(figures: Mapping[str, Any]) -> list[str]:
    shares = ", ".join(
        f"{100 * share:.1f} % ({'these films' if part == 'in_house' else 'other sources'})"
        for part, share in figures["share_noisy"].items()
    )
    return [
        f"The classifier is a logistic regression on the frozen features of {figures['backbone']} at "
        f"{figures['size_px']} px, the first stage of training; every method is judged on the same folds.",
        "Noise is drawn at the network's size, counted quanta and electronics, denser parts noisier; noise of a real "
        "detector is also blurred by reducing the film.",
        f"Films that are noisy as they are: {shares}.",
        "Only methods that need no more than OpenCV and numpy can become the setting preprocessing.denoise: a model "
        "file must be served wherever hilum runs. Wavelets and total variation are here to be compared with.",
        "CLAHE is a change of contrast, judged beside the others and no candidate.",
    ]
