"""What a training lowers, and how: the loss of a film, and the optimiser with its learning rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from hilum.train.config import FitSettings

__all__ = ["ambiguous_cross_entropy", "make_optimizer"]

_WARM_UP_SHARE = 0.1  # of the steps
_LOWEST_RATE = 0.01  # of the highest
_MORE_THAN_ONE = 1.5
_NEVER = -1e9  # a logit whose probability is 0


def ambiguous_cross_entropy(label_smoothing: float) -> Callable[[Any, Any], Any]:
    """Return the loss of logits (n, K) against what is known of each film (n, K).

    Ones stand for the findings of which the film shows one; the loss is the negative logarithm of the sum of their
    probabilities: of one finding, the usual cross-entropy. Shares that sum to one are met by the cross-entropy.

    Args:
        label_smoothing: The share of the label that is spread over all findings.
    """

    def loss(targets: Any, logits: Any) -> Any:
        whole = keras.ops.logsumexp(logits, axis=-1)
        any_of = keras.ops.logsumexp(keras.ops.where(targets > 0, logits, _NEVER), axis=-1)
        expected = keras.ops.sum(targets * logits, axis=-1)
        shown = keras.ops.where(keras.ops.sum(targets, axis=-1) > _MORE_THAN_ONE, any_of, expected)
        smooth = keras.ops.mean(logits, axis=-1)
        return whole - (1 - label_smoothing) * shown - label_smoothing * smooth

    return loss


def make_optimizer(settings: FitSettings, *, num_steps: int) -> keras.optimizers.Optimizer:
    """Return the optimiser of some settings for so many steps."""
    warm_up = max(round(_WARM_UP_SHARE * num_steps), 1)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(num_steps - warm_up, 1),
        alpha=_LOWEST_RATE,
        warmup_target=settings.learning_rate,
        warmup_steps=warm_up,
    )
    options: dict[str, Any] = {"weight_decay": settings.weight_decay}
    if settings.ema_momentum:
        options |= {"use_ema": True, "ema_momentum": settings.ema_momentum}
    return {
        "adam": lambda: keras.optimizers.Adam(rate, **options),
        "adamw": lambda: keras.optimizers.AdamW(rate, **options),
        "sgd": lambda: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, **options),
        "lion": lambda: keras.optimizers.Lion(rate, **options),
        "rmsprop": lambda: keras.optimizers.RMSprop(rate, **options),
    }[settings.optimiser]()
