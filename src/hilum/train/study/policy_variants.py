"""The augmentation policies that `hilum study augmentation` compares, by name."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hilum.train.augment import SIMPLE, Augmentation, Policy, no_changes

__all__ = ["POLICY_VARIANTS", "PolicyVariant"]


@dataclass(frozen=True)
class PolicyVariant:
    """One policy to compare.

    Attributes:
        name: As study.json and --only have it.
        title: As the page has it.
        words: What it does.
        augmentation: Its settings.
    """

    name: str
    title: str
    words: str
    augmentation: Augmentation


def _variants() -> tuple[PolicyVariant, ...]:
    default, nothing = Augmentation(), no_changes()
    geometry = ("flip_probability", "rotation_degrees", "zoom_fraction", "stretch_fraction", "shift_fraction")
    photometry = (
        *("photometric_probability", "gamma", "contrast_fraction", "brightness_fraction", "blur_sigma_px"),
        *("noise_sigma_fraction", "lost_resolution_fraction"),
    )
    part = {name: {one: getattr(default, one) for one in names} for name, names in
            (("geometry", geometry), ("photometry", photometry))}  # fmt: skip
    return (
        PolicyVariant("none", "None", "films as they are", nothing),
        PolicyVariant("simple", "Flip, rotation, blur", "half mirrored, 10 degrees, sigma up to 1 pixel", SIMPLE),
        PolicyVariant(
            "geometric", "Geometric", "mirrored, turned, stretched, shifted", replace(nothing, **part["geometry"])
        ),
        PolicyVariant(
            "photometric", "Photometric", "grey values, blur, noise, resolution", replace(nothing, **part["photometry"])
        ),
        PolicyVariant("full", "Both", "geometric and photometric", default),
        PolicyVariant("no-flip", "Both without flip", "never mirrored", replace(default, flip_probability=0.0)),
        PolicyVariant("randaugment", "RandAugment", "2 of 10 changes, strength 0.5", _policy("randaugment")),
        PolicyVariant("augmix", "AugMix", "3 chains of changes, strength 0.5", _policy("augmix")),
        PolicyVariant("mixup", "MixUp", "behind both, alpha 0.2", _policy("mixup")),
        PolicyVariant("cutmix", "CutMix", "behind both, strength 0.5", _policy("cutmix")),
        PolicyVariant("erasing", "RandomErasing", "behind both, half of the films", _policy("erasing")),
    )


def _policy(name: Policy) -> Augmentation:
    return replace(Augmentation(), policy=name)


POLICY_VARIANTS: tuple[PolicyVariant, ...] = _variants()
