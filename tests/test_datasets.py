"""Datasets of batches, windows of series, files and the data sets that Keras's examples load."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyrnn.data.dataset import Dataset
from pyrnn.data.files import get_file
from pyrnn.data.windows import timeseries_dataset_from_array
from pyrnn.datasets import imdb, mnist


def numbers(n: int) -> Dataset:
    return Dataset.from_tensor_slices(np.arange(n))


def test_a_loop_may_be_repeated() -> None:
    data = numbers(5).batch(2)
    for _ in range(2):
        assert [batch.numpy().tolist() for batch in data] == [[0, 1], [2, 3], [4]]
    assert len(data) == data.cardinality() == 3
    assert type(next(iter(data)).numpy()) is np.ndarray


def test_steps_of_a_pipeline() -> None:
    data = numbers(10).skip(2).take(6).map(lambda x: x * 10).batch(4, drop_remainder=True).repeat(2).prefetch(1)
    assert [batch.tolist() for batch in data] == [[20, 30, 40, 50]] * 2
    assert len(data) == 2
    assert [x.tolist() for x in numbers(3).repeat().take(5)] == [0, 1, 2, 0, 1]
    with pytest.raises(TypeError, match="length is not known"):
        len(numbers(3).repeat())
    pairs = Dataset.from_tensor_slices(({"a": np.arange(3)}, np.arange(3) * 2)).batch(3)
    ((x, y),) = pairs
    assert x["a"].tolist() == [0, 1, 2]
    assert y.tolist() == [0, 2, 4]


def test_cache_makes_elements_once() -> None:
    made = []
    data = numbers(3).map(lambda x: made.append(int(x)) or x).cache()
    assert [[int(x) for x in data] for _ in range(2)] == [[0, 1, 2]] * 2
    assert made == [0, 1, 2]


def test_shuffling() -> None:
    orders = [[int(x) for x in numbers(50).shuffle(8, seed=1)] for _ in range(2)]
    assert orders[0] == orders[1] != list(range(50))
    assert sorted(orders[0]) == list(range(50))
    data = numbers(50).shuffle(50, seed=1)
    assert [int(x) for x in data] != [int(x) for x in data]
    same = numbers(50).shuffle(50, seed=1, reshuffle_each_iteration=False)
    assert [int(x) for x in same] == [int(x) for x in same]
    assert all(x <= i + 8 for i, x in enumerate(orders[0]))  # nothing comes earlier than the buffer allows


@pytest.mark.parametrize("kind", [{}, {"sequence_stride": 3}, {"sampling_rate": 2, "start_index": 3, "end_index": 40}])
@pytest.mark.parametrize("with_targets", [True, False])
def test_windows_are_those_of_the_definition(kind: dict[str, Any], with_targets: bool) -> None:
    data, targets = np.arange(50) * 2, np.arange(45) + 100
    got = list(timeseries_dataset_from_array(data, targets if with_targets else None, 4, batch_size=7, **kind))
    begin, end = kind.get("start_index", 0), kind.get("end_index", 50)
    rate, stride = kind.get("sampling_rate", 1), kind.get("sequence_stride", 1)
    part, wanted = data[begin:end], targets[begin:end]
    count = len(part) - 3 * rate
    if with_targets:
        count = min(count, len(wanted))
    expected = [part[i : i + 4 * rate : rate][:4].tolist() for i in range(0, count, stride)]
    x = [batch[0] if with_targets else batch for batch in got]
    assert np.concatenate(x).tolist() == expected
    assert all(len(batch) == 7 for batch in x[:-1])
    if with_targets:
        assert np.concatenate([batch[1] for batch in got]).tolist() == wanted[0:count:stride].tolist()


def test_shuffled_windows_keep_their_targets() -> None:
    data = timeseries_dataset_from_array(np.arange(30), np.arange(30) + 1, 3, batch_size=5, shuffle=True, seed=3)
    loops = [list(data) for _ in range(2)]
    for loop in loops:
        assert all((x[:, 0] + 1 == y).all() for x, y in loop)
        assert sorted(np.concatenate([y for _, y in loop]).tolist()) == list(range(1, 29))
    assert [y.tolist() for _, y in loops[0]] != [y.tolist() for _, y in loops[1]]


def test_files_by_path_and_url(tmp_path: Path) -> None:
    file = tmp_path / "a b.txt"
    file.write_text("text")
    assert get_file(origin=file) == get_file(origin=file.as_uri()) == str(file)
    digest = "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"
    assert get_file(origin=file, file_hash=digest) == str(file)
    with pytest.raises(ValueError, match="expected the sha256 0000"):
        get_file(origin=file, file_hash="0" * 64)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        get_file(origin=tmp_path / "none")
    with pytest.raises(TypeError, match="origin: expected a URL or a path"):
        get_file("a.txt")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives(tmp_path: Path, kind: str) -> None:
    def archive(name: str, member: str) -> Path:
        path = tmp_path / f"{name}.{kind}"
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as file:
                file.writestr(member, "text")
        else:
            with tarfile.open(path, "w:gz") as tar:
                info = tarfile.TarInfo(member)
                info.size = 4
                tar.addfile(info, io.BytesIO(b"text"))
        return path

    folder = Path(get_file(origin=archive("good", "inner/a.txt"), extract=True, cache_dir=tmp_path / "cache"))
    assert (folder / "inner" / "a.txt").read_text() == "text"
    beside = Path(get_file(origin=archive("old", "other/a.txt"), untar=True, cache_dir=tmp_path / "cache"))
    assert (beside.parent / "other" / "a.txt").read_text() == "text"
    with pytest.raises(ValueError, match="member outside its folder"):
        get_file(origin=archive("bad", "../a.txt"), extract=True, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache" / "a.txt").exists()
    with pytest.raises(ValueError, match="expected a tar or zip archive"):
        (tmp_path / "plain.zip").write_text("text")
        get_file(origin=tmp_path / "plain.zip", extract=True, cache_dir=tmp_path / "cache")


def test_mnist_from_a_file(tmp_path: Path) -> None:
    arrays = {f"{a}_{b}": np.arange(3) for a in "xy" for b in ("train", "test")}
    np.savez(tmp_path / "mnist.npz", **arrays)
    (x, y), (_, other) = mnist.load_data(tmp_path / "mnist.npz")
    assert x.tolist() == y.tolist() == other.tolist() == [0, 1, 2]


def test_imdb_from_a_file(tmp_path: Path) -> None:
    reviews = [[1, 5, 9], [2], [30, 4, 4, 4]]
    part = {"x": np.concatenate(reviews), "x_lengths": np.array([3, 1, 4]), "y": np.array([1, 0, 1])}
    names = {"x": "x_{}", "x_lengths": "x_{}_lengths", "y": "y_{}"}
    file = tmp_path / "imdb.npz"
    np.savez(file, **{names[k].format(p): v for k, v in part.items() for p in ("train", "test")})
    (x, y), (x_test, _) = imdb.load_data(file, num_words=12)
    assert sorted(x.tolist()) == sorted([[1, 4, 8, 2], [1, 5], [1, 2, 7, 7, 7]])
    assert {len(a): int(b) for a, b in zip(x, y, strict=True)} == {4: 1, 2: 0, 5: 1}
    assert sorted(map(len, x_test)) == [2, 4, 5]
    (x, _), _ = imdb.load_data(file, maxlen=5, oov_char=None, start_char=None, skip_top=5)
    assert sorted(x.tolist()) == sorted([[8, 12], [5], [33, 7, 7, 7]])
    objects = np.empty(2, object)
    objects[:] = [[1], [2, 3]]
    np.savez(file, x_train=objects, y_train=[1, 0], x_test=objects, y_test=[1, 0])
    with pytest.raises(ValueError, match="pyrnn reads no pickles"):
        imdb.load_data(file)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: numbers(3).batch(0), ValueError, "batch_size: expected an integer >= 1, got 0"),
        (lambda: numbers(3).batch("2"), TypeError, "batch_size: expected an integer, got '2'"),
        (lambda: numbers(3).batch(2, padded=1), TypeError, "batch: unknown argument 'padded'"),
        (lambda: numbers(3).cache("f"), ValueError, "cache: filename='f' is not supported"),
        (lambda: Dataset.from_tensor_slices((np.arange(2), np.arange(3))), ValueError, "as many samples each"),
        (
            lambda: list(Dataset.from_tensor_slices(np.arange(2)).map(lambda x: np.arange(x)).batch(2)),
            ValueError,
            "pad_",
        ),
        (lambda: timeseries_dataset_from_array(np.arange(3), None, 5), ValueError, "expected at least 5 steps, got 3"),
        (lambda: timeseries_dataset_from_array(np.arange(3), None, 0), ValueError, "sequence_length: expected an int"),
        (lambda: timeseries_dataset_from_array(np.arange(3), None, 1, end_index=9), ValueError, "end <= 3, got 0, 9"),
        (lambda: imdb.load_data("nowhere.npz"), FileNotFoundError, "there is no file nowhere.npz"),
    ],
)
def test_refusals(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
