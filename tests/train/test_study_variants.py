"""A study that cannot be done is refused before a film is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hilum.errors import ConfigError, InconsistentDataset, InputError
from hilum.train.augment import no_changes
from hilum.train.config import default_config
from hilum.train.study_variants import KINDS, NAMED_POLICIES, StudyRequest, check_study, variants_of


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A data set whose files are no films: they are only counted."""
    for finding in ("Normal", "Covid"):
        (tmp_path / "films" / finding).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "films" / finding / f"{number}.png").write_bytes(b"")
    return tmp_path / "films"


def request(films: Path, out: Path, kind: str = "noise", **more: Any) -> StudyRequest:
    return StudyRequest(kind, films, out, **more)


def test_folders_that_hold_something_else_are_left_alone(films: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lies in the data folder"):
        check_study(request(films, films / "out"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="was not changed"):
        check_study(request(films, tmp_path / "run", overwrite=True))
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="it is a file"):
        check_study(request(films, tmp_path / "file"))


def test_films_are_counted(films: Path, tmp_path: Path) -> None:
    check_study(request(films, tmp_path / "out", external=films))
    with pytest.raises(InconsistentDataset, match="does not exist"):
        check_study(request(films, tmp_path / "out", external=tmp_path / "missing"))
    (films / "Covid" / "0.png").unlink()
    with pytest.raises(InconsistentDataset, match="has 1 film to divide; expected at least 2"):
        check_study(request(films, tmp_path / "out", "backbones"))


def test_wrong_numbers_and_names_are_told(films: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--folds"):
        request(films, tmp_path, folds=1)
    with pytest.raises(ConfigError, match="takes one --backbone"):
        request(films, tmp_path, backbones=("plain-cnn", "MobileNetV2"))
    for kind in KINDS:
        with pytest.raises(ConfigError, match="does not take hilum-chest, which may have learned from your films"):
            request(films, tmp_path, kind, backbones=("hilum-chest",))
    for kind in ("noise", "augmentation"):
        with pytest.raises(ConfigError, match="takes one --size-px"):
            request(films, tmp_path, kind, sizes_px=(32, 64))
    for kind in KINDS:
        with pytest.raises(ConfigError, match="No backbone is called `plain-cn`"):
            check_study(request(films, tmp_path / "out", kind, backbones=("plain-cn",)))
    with pytest.raises(ConfigError, match="multiple of 32"):
        check_study(request(films, tmp_path / "out", "backbones", sizes_px=(160, 100)))
    with pytest.raises(ConfigError, match="Nothing is left to compare"):
        check_study(request(films, tmp_path / "out", "backbones", backbones=("plain-cnn",), only=("frozen",)))


@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [("noise", "median", "medain"), ("augmentation", "mixup", "mixap"), ("backbones", "frozen", "frosen")],
)
def test_an_unknown_name_is_told_the_nearest(kind: str, name: str, wrong: str) -> None:
    request(Path("films"), Path("out"), kind, only=(name,))
    with pytest.raises(ConfigError, match=f"Did you mean `{name}`"):
        request(Path("films"), Path("out"), kind, only=(wrong,))


def names(kind: str, **more: Any) -> list[str]:
    return [variant.name for variant in variants_of(request(Path("films"), Path("out"), kind, **more))]


def test_variants_come_in_one_order_with_what_they_are_compared_with() -> None:
    assert names("noise", only=("tv", "median")) == ["none", "median", "tv"]
    assert names("augmentation", only=("full", "mixup"), backbones=("plain-cnn",)) == [
        "none",
        "simple",
        "full",
        "mixup",
    ]
    assert names(
        "backbones", backbones=("plain-cnn", "MobileNetV2"), sizes_px=(32, 64), only=("from scratch", "frozen")
    ) == [
        *("plain-cnn-32-from-scratch", "MobileNetV2-32-frozen", "MobileNetV2-32-from-scratch"),
        *("plain-cnn-64-from-scratch", "MobileNetV2-64-frozen", "MobileNetV2-64-from-scratch"),
    ]


def test_a_variant_changes_the_settings_that_it_names() -> None:
    frozen, tuned, scratch = variants_of(
        request(Path(), Path(), "backbones", backbones=("MobileNetV2",), sizes_px=(64,))
    )
    assert [one.config.fit.epochs for one in (frozen, tuned, scratch)] == [0, 30, 40]
    assert [one.config.weights for one in (frozen, tuned, scratch)] == ["imagenet", "imagenet", "none"]
    assert (tuned.config.fit, scratch.config.fit) == (default_config().fit, default_config("plain-cnn").fit)
    (few,) = {one.config.fit.epochs for one in variants_of(request(Path(), Path(), "augmentation", epochs=2))}
    assert few == 2


def test_each_policy_is_what_its_name_says() -> None:
    policies = {name: one for name, (_, _, one) in NAMED_POLICIES.items()}
    assert policies["none"] == no_changes()
    assert policies["geometric"].gamma == 0
    assert policies["geometric"].rotation_degrees == policies["full"].rotation_degrees > 0
    assert policies["photometric"].flip_probability == policies["photometric"].rotation_degrees == 0
    assert policies["photometric"].gamma == policies["full"].gamma
    assert policies["no-flip"].flip_probability == 0 < policies["full"].flip_probability
    mixes = ("randaugment", "augmix", "mixup", "cutmix", "erasing")
    assert [policies[name].policy for name in mixes] == list(mixes)


def test_the_default_of_every_backbone_is_among_them() -> None:
    for backbone in KINDS["augmentation"].backbones:
        variants = variants_of(request(Path(), Path(), "augmentation", backbones=(backbone,)))
        (default,) = [variant for variant in variants if variant.is_default]
        assert default.config.augmentation == default_config(backbone).augmentation
