"""Which networks there are, told without Keras: the same as Keras says."""

from __future__ import annotations

from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest

import hilum.train.backbones
from hilum.errors import ConfigError
from hilum.train.backbones import application_names, check_backbone, check_weights, weights_at_hand


def test_the_names_are_those_that_keras_has() -> None:
    import keras

    constructors = {name for name in dir(keras.applications) if name[0].isupper()}
    assert set(application_names()) == {name for name in constructors if not name.endswith("Base")}
    assert {"MobileNetV2", "DenseNet121", "ResNet50", "VGG16"} <= set(application_names())


@pytest.mark.parametrize(
    "name", ["plain-cnn", "efficientnet-lite0", "efficientnet-lite2", "hilum-chest", "MobileNetV2", "mobilenet-v2"]
)
def test_known_networks_pass(name: str) -> None:
    check_backbone(name, 224)


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "hilum-chest"])
def test_a_size_that_does_not_divide_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} needs a size that is a multiple of 32 px; received 100") as caught:
        check_backbone(name, 100)
    assert "preprocessing.size_px to 96" in caught.value.fix
    check_backbone("plain-cnn", 100)


def test_without_keras_no_name_is_called_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hilum.train.backbones, "application_names", tuple)
    check_backbone("NetworkOfTomorrow", 224)


@pytest.mark.parametrize(
    ("file", "backbone", "others"),
    [
        ("densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5", "DenseNet121", ("DenseNet169",)),
        ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5", "MobileNetV2", ("MobileNet",)),
        ("mobilenet_1_0_224_tf_no_top.h5", "MobileNet", ("MobileNetV2", "NASNetMobile")),
        ("weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5", "MobileNetV3Small", ("MobileNetV3Large",)),
        ("resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5", "ResNet50V2", ("ResNet50",)),
        ("efficientnetv2-b0_notop.h5", "EfficientNetV2B0", ("EfficientNetB0",)),
        ("densenet121_weights_tf_dim_ordering_tf_kernels.h5", None, ("DenseNet121",)),  # with its top: another file
    ],
)
def test_weights_are_looked_for_where_keras_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, backbone: str | None, others: tuple[str, ...]
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert weights_at_hand("efficientnet-lite0")
    assert not weights_at_hand("plain-cnn")
    assert not weights_at_hand(backbone or "DenseNet121")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / file).write_bytes(b"")
    assert backbone is None or weights_at_hand(backbone)
    assert not any(weights_at_hand(other) for other in others)


def test_weights_that_cannot_be_fetched_are_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    asked = []

    def answer(*_arguments: object, **_options: object) -> None:
        asked.append(True)
        raise problem

    monkeypatch.setattr("urllib.request.urlopen", answer)
    problem: OSError = URLError("no route to host")
    with pytest.raises(ConfigError, match="The ImageNet weights of `MobileNetV2` are not on this computer") as caught:
        check_weights("MobileNetV2", "imagenet")
    assert "--weights none" in caught.value.fix
    assert asked == [True]
    problem = HTTPError("https://x", 400, "Bad request", None, None)  # type: ignore[arg-type]
    check_weights("MobileNetV2", "imagenet")  # there is a network: Keras may try
    asked.clear()
    check_weights("MobileNetV2", "none")
    check_weights("efficientnet-lite0", "imagenet")
    check_weights("hilum-chest", "chest")
    assert asked == []
