"""What is told of folders whose names do not say how they were read; test_layout.py has them on disk."""

from __future__ import annotations

from hilum.data.names import joined_remark, name_remarks


def test_plain_names_need_no_words() -> None:
    assert name_remarks({"train": "train", "a/Test": "test"}, (), (), {"Normal": ("images", "fold1")}) == []


def test_odd_parts_sources_and_folds_are_told() -> None:
    parts, sources, folds = name_remarks({"holdout": "test"}, ("SiteB", "SiteA"), ("fold2", "fold1"), {})
    assert parts.message == "Parts of the data set: `holdout` as test."
    assert sources.message == "The folders `SiteA` and `SiteB` are read as sources (hospitals)."
    assert folds.message.startswith("The folders `fold1` and `fold2` hold the same class folders")
    assert "`Normal_test` is read as Normal, test" in joined_remark({"Normal_test": ("test", "Normal")}).message


def test_folders_inside_class_folders_are_told_by_what_they_may_be() -> None:
    finding, shared = name_remarks({}, (), (), {"Sick": ("Effusion", "ward"), "Normal": ("ward",)})
    assert finding.severity == "warning"
    assert "The films of `Effusion` are inside `Sick`" in finding.message
    assert "The folders `ward` are in more than one class folder" in shared.message
