"""The policies that a study compares."""

from __future__ import annotations

from hilum.train.augment import no_changes
from hilum.train.study.policy_variants import POLICY_VARIANTS


def test_each_policy_is_what_its_name_says() -> None:
    policies = {one.name: one.augmentation for one in POLICY_VARIANTS}
    assert policies["none"] == no_changes()
    assert policies["geometric"].gamma == 0
    assert policies["geometric"].rotation_degrees == policies["full"].rotation_degrees > 0
    assert policies["photometric"].flip_probability == policies["photometric"].rotation_degrees == 0
    assert policies["photometric"].gamma == policies["full"].gamma
    assert policies["no-flip"].flip_probability == 0 < policies["full"].flip_probability
    assert {policies[name].policy for name in ("randaugment", "augmix", "mixup", "cutmix", "erasing")} == {
        "randaugment",
        "augmix",
        "mixup",
        "cutmix",
        "erasing",
    }
