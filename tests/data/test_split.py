"""Groups never cross, every film has one split, and the same seed gives the same split."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.data.folder import Dataset, FilmRecord, read_dataset
from hilum.data.scan import group_films
from hilum.data.split import assign_folds, assign_splits, clean_test, grouped_folds
from hilum.errors import ConfigError, InconsistentDataset


def make_dataset(counts: dict[str, int], split: str | None = None) -> Dataset:
    records = [FilmRecord(f"{name}/{i:03d}.png", name, split) for name, n in counts.items() for i in range(n)]
    return Dataset(Path("data"), "data", tuple(records))


@st.composite
def grouped_datasets(draw: st.DrawFn) -> tuple[Dataset, np.ndarray]:
    num_findings = draw(st.integers(2, 4))
    records, groups = [], []
    for finding in range(num_findings):
        num_groups = draw(st.integers(4, 14))
        for group, size in enumerate(draw(st.lists(st.integers(1, 3), min_size=num_groups, max_size=num_groups))):
            for film in range(size):
                records.append(FilmRecord(f"{finding}/{group}-{film}.png", f"finding {finding}", None))
                groups.append(100 * finding + group)
    return Dataset(Path("data"), "data", tuple(records)), np.array(groups)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(grouped_datasets(), st.integers(0, 2**31))
def test_splits_keep_groups_whole_and_findings_everywhere(data: tuple[Dataset, np.ndarray], seed: int) -> None:
    dataset, groups = data
    splits = np.array(assign_splits(dataset, groups, seed=seed))
    assert set(splits) == {"train", "validation", "test"}
    for group in np.unique(groups):
        assert len(set(splits[groups == group])) == 1
    for split in ("train", "validation", "test"):
        assert {dataset.records[film].finding for film in np.flatnonzero(splits == split)} == set(dataset.findings)
    assert clean_test(splits, groups).sum() == (splits == "test").sum()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(grouped_datasets(), st.integers(0, 2**31))
def test_folds_cover_all_but_test_and_keep_groups_whole(data: tuple[Dataset, np.ndarray], seed: int) -> None:
    dataset, groups = data
    splits = ["test" if group % 4 == 0 else "train" for group in groups]
    folds = assign_folds(dataset, splits, groups, num_folds=3, seed=seed)
    assert [fold == -1 for fold in folds] == [split == "test" for split in splits]
    assert set(folds) == {-1, 0, 1, 2}
    for group in np.unique(groups):
        assert len(set(folds[groups == group])) == 1


@pytest.mark.slow
def test_fractions_are_met_for_every_finding() -> None:
    dataset = make_dataset({"Normal": 200, "Covid-19": 100, "Rare": 20})
    splits = assign_splits(dataset, np.arange(320), validation_fraction=0.15, test_fraction=0.2, seed=4)
    counts = Counter((record.finding, split) for record, split in zip(dataset.records, splits, strict=True))
    for finding, total in (("Normal", 200), ("Covid-19", 100), ("Rare", 20)):
        assert counts[finding, "test"] == pytest.approx(0.2 * total, abs=0.03 * total + 1)
        assert counts[finding, "validation"] == pytest.approx(0.15 * 0.8 * total, abs=0.03 * total + 1)


def test_another_seed_gives_another_split() -> None:
    dataset = make_dataset({"Normal": 30, "Covid-19": 30})
    assert assign_splits(dataset, np.arange(60), seed=1) != assign_splits(dataset, np.arange(60), seed=2)


def test_the_split_of_a_seed_is_the_same_everywhere() -> None:
    dataset = make_dataset({"Normal": 5, "Covid-19": 5})
    splits = assign_splits(dataset, np.arange(10), seed=7)
    assert [film for film, split in enumerate(splits) if split != "train"] == [0, 2, 6, 7]
    first, again = (assign_folds(dataset, ["train"] * 10, np.arange(10), num_folds=3, seed=7) for _ in range(2))
    assert np.array_equal(first, again)


def test_a_given_test_part_is_kept_even_where_it_leaks() -> None:
    train, test = (
        make_dataset({"Normal": 10, "Covid-19": 10}, "train"),
        make_dataset({"Normal": 3, "Covid-19": 3}, "test"),
    )
    dataset = Dataset(Path("data"), "data", train.records + test.records)
    groups = np.arange(26)
    groups[20] = groups[0]  # a test film with a twin in train
    splits = assign_splits(dataset, groups, seed=0)
    assert splits[20:] == ("test",) * 6
    assert set(splits[:20]) == {"train", "validation"}
    assert list(np.flatnonzero(clean_test(splits, groups))) == [21, 22, 23, 24, 25]


def test_a_given_validation_part_is_kept_and_test_avoids_its_groups() -> None:
    train, held = (
        make_dataset({"Normal": 12, "Covid-19": 12}, "train"),
        make_dataset({"Normal": 2, "Covid-19": 2}, "validation"),
    )
    dataset = Dataset(Path("data"), "data", train.records + held.records)
    groups = np.arange(28)
    groups[24:] = groups[[0, 1, 12, 13]]
    for seed in range(8):
        splits = assign_splits(dataset, groups, seed=seed)
        assert splits[24:] == ("validation",) * 4
        assert {splits[film] for film in (0, 1, 12, 13)} == {"train"}
        assert splits.count("test") in range(3, 8)


def test_a_validation_part_without_a_finding_is_refused() -> None:
    train, held = make_dataset({"Normal": 9, "Covid-19": 9}, "train"), make_dataset({"Normal": 2}, "validation")
    dataset = Dataset(Path("data"), "data", train.records + held.records)
    with pytest.raises(InconsistentDataset, match="validation part of `data` has no film with the finding `Covid-19`"):
        assign_splits(dataset, np.arange(20))


@pytest.mark.parametrize(
    ("counts", "split", "message"),
    [
        ({"Normal": 9, "Covid-19": 1}, "train", "`Covid-19` of `data` has 1 film to divide; expected at least"),
        ({"Normal": 9, "Covid-19": 2}, None, "`Covid-19` of `data` has 2 films to divide; expected at least 3"),
        ({"Normal": 9, "Covid-19": 9}, "test", "has no films to train on"),
    ],
)
def test_too_few_films_are_told(counts: dict[str, int], split: str | None, message: str) -> None:
    dataset = make_dataset(counts, split)
    with pytest.raises(InconsistentDataset, match=message):
        assign_splits(dataset, np.arange(len(dataset.records)))


def test_twins_do_not_count_as_films_to_divide() -> None:
    dataset = make_dataset({"Normal": 9, "Covid-19": 6})
    groups = np.array([*range(9), *[50] * 6])
    with pytest.raises(InconsistentDataset, match=r"has 1 film to divide \(6 with twins and films of one patient\)"):
        assign_splits(dataset, groups)
    with pytest.raises(InconsistentDataset, match="has 1 film to divide"):
        assign_folds(dataset, ["train"] * 15, groups)


def test_the_smallest_data_set_that_can_be_split_is_split() -> None:
    dataset = make_dataset({"Normal": 3, "Covid-19": 3, "Viral Pneumonia": 3, "Bacterial Pneumonia": 3})
    assert Counter(assign_splits(dataset, np.arange(12))) == {"train": 4, "validation": 4, "test": 4}


def test_folds_out_of_range_are_refused() -> None:
    dataset = make_dataset({"Normal": 4, "Covid-19": 4})
    with pytest.raises(ConfigError, match="number of folds is 1"):
        assign_folds(dataset, ["train"] * 8, np.arange(8), num_folds=1)
    with pytest.raises(InconsistentDataset, match="too small for 6 folds"):
        assign_folds(dataset, ["train"] * 8, np.arange(8), num_folds=6)
    with pytest.raises(ConfigError, match=r"test_fraction is 0.9"):
        assign_splits(dataset, np.arange(8), test_fraction=0.9)
    with pytest.raises(ValueError, match="one group a film"):
        assign_splits(dataset, np.arange(7))


@pytest.mark.parametrize("seed", range(20))
def test_folds_are_those_of_scikit_learn(seed: int) -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    rng = np.random.default_rng(seed)
    truth, groups = rng.integers(0, 3, 90), rng.integers(0, 40, 90)
    reference = StratifiedGroupKFold(n_splits=5, shuffle=True, random_state=seed).split(truth, truth, groups)
    for held, (_, expected) in zip(grouped_folds(truth, groups, seed=seed), reference, strict=True):
        assert np.flatnonzero(held).tolist() == expected.tolist()


@pytest.mark.slow
def test_patients_of_a_real_pool_never_cross(hilum_data: Path) -> None:
    dataset = read_dataset(hilum_data / "pool" / "manifest.csv")
    groups = group_films(dataset.records, [])
    splits = np.array(assign_splits(dataset, groups, seed=0))
    sides: dict[tuple[str | None, str], set[str]] = {}
    for record, split in zip(dataset.records, splits, strict=True):
        if record.patient is not None:
            sides.setdefault((record.source, record.patient), set()).add(split)
    assert len(sides) > 1000
    assert all(len(side) == 1 for side in sides.values())


def test_folds_never_part_a_group() -> None:
    rng = np.random.default_rng(0)
    truth, groups = rng.integers(3, size=90), rng.integers(20, size=90)
    folds = list(grouped_folds(truth, groups))
    assert len(folds) == 5
    np.testing.assert_array_equal(np.sum(folds, axis=0), 1)
    for held in folds:
        assert set(groups[held]).isdisjoint(groups[~held])


def test_few_groups_make_fewer_folds_and_one_makes_none() -> None:
    truth = np.arange(12) % 3
    assert len(list(grouped_folds(truth, np.arange(12) % 4))) == 4
    assert list(grouped_folds(truth, np.zeros(12, int))) == []
