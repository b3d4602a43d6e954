"""An image folder: classes by name, a held-out share of each, images normalised."""

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from env.errors import TaskError
from env.tasks import Task, TaskConfig, float_module, load_task
from experiments.stages.network_setup import module_scores
from quant.errors import DataError

SHARED_DATA = "BITALLOC_SHARED_DATA"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, count in (("train", 10), ("val", 3)):
        for number, name in enumerate(("cat", "dog", "eel")):
            (tmp_path / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(80 * number, 80 * number + 90, (40, 60, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{index}.png")
    return tmp_path


def load(folder: Path, **changes: object) -> Task:
    values = {"name": "image-folder", "data": str(folder), "image_size": 32, **changes}
    return load_task(TaskConfig(**values))  # type: ignore[arg-type]


def test_every_class_is_split_and_brighter_than_the_one_before(folder: Path) -> None:
    task = load(folder)
    assert task.classes == 3
    assert [len(split) for split in (task.train, task.search, task.test)] == [27, 3, 9]
    assert task.search.labels.tolist() == [0, 1, 2]
    assert task.train.images.shape[1:] == (3, 32, 32)
    means = [float(task.test.images[task.test.labels == label].mean()) for label in range(3)]
    assert means[0] < means[1] < means[2]
    again = load(folder)
    assert bool((again.search.images == task.search.images).all())
    assert len(load(folder, per_class=4).train) == 9


def test_training_images_of_all_classes_come_first(folder: Path) -> None:
    train = load(folder).train
    first = train.labels[:9]  # of the 27 that a folder lists class by class
    assert set(first.tolist()) == {0, 1, 2}
    means = (train.images.mean(1) * 0.225 + 0.45).mean((1, 2)) * 255
    brightness = torch.tensor([45.0, 125.0, 205.0])
    nearest = (means[:, None] - brightness).abs().argmin(1)
    assert torch.equal(nearest, train.labels), "images keep their labels"
    assert torch.equal(load(folder).train.labels, train.labels), "always so"


def test_a_network_gets_the_images_its_weights_expect(folder: Path) -> None:
    plain, lite = load(folder), load(folder, network="efficientnet-lite0")
    pixels = plain.test.images[0, 0] * 0.229 + 0.485
    assert torch.allclose(lite.test.images[0, 0], (pixels * 255 - 127) / 128, atol=1e-5)


def test_wrong_folders_say_how_to_lay_them_out(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs its path"):
        load_task(TaskConfig(name="image-folder"))
    (folder / "val" / "cow").mkdir()
    with pytest.raises(DataError, match="the same classes as for training: it has cow") as raised:
        load(folder)
    assert "FOLDER/train/CLASS" in raised.value.hint
    (folder / "val" / "cow").rmdir()
    (folder / "train" / "dog" / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cannot read the image .*broken.jpg"):
        load(folder)
    with pytest.raises(DataError, match="GB are free"):
        load(folder, image_size=200_000)


def picture(folder: Path, name: str, image: Image.Image, **options: object) -> None:
    image.save(folder / "train" / "cat" / name, **options)  # type: ignore[arg-type]


def test_files_of_every_kind_are_read_and_others_counted(folder: Path) -> None:
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 255, (16, 20, 3), dtype=np.uint8))
    for mode, name in (
        *(("L", "grey.png"), ("RGBA", "alpha.png"), ("LA", "la.png"), ("P", "palette.gif")),
        *(("CMYK", "print.jpg"), ("RGB", "SHOUT.JPG"), ("RGB", "one.tif"), ("RGB", "two.TIFF")),
        *(("1", "ink.png"), ("RGB", "new.webp"), ("L", "grey.pgm"), ("YCbCr", "video.jpeg")),
    ):
        picture(folder, name, colour.convert(mode))
    picture(folder, "narrow.png", colour.resize((3, 400)))
    (folder / "train" / "cat" / "deeper").mkdir()
    colour.save(folder / "train" / "cat" / "deeper" / "inner.png")
    cats = folder / "train" / "cat"
    for name in ("Thumbs.db", "notes.txt", "more.txt", "LICENSE", ".DS_Store", "._0.png"):
        (cats / name).write_bytes(b"no image")
    (folder / "train" / ".ipynb_checkpoints").mkdir()
    (folder / "__MACOSX").mkdir()
    task = load(folder)
    assert len(task.train) + len(task.search) == 3 * 10 + 14
    (note,) = task.notes
    assert note.startswith("passed over as no images: ")
    for part in ("1 hidden folder", "2 hidden", "2 .txt", "..."):
        assert part in note, note


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_images_of_16_bits_keep_their_greys(folder: Path, ending: str) -> None:
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32)
    for file in (folder / "val" / "cat").iterdir():
        file.unlink()
    Image.fromarray(ramp.astype(np.uint16)).save(folder / "val" / "cat" / f"deep.{ending}")
    task = load(folder, normalize="none")
    image = task.test.images[0, 0]
    assert torch.allclose(image, torch.tensor(ramp / 65535, dtype=torch.float32), atol=0.003)


def test_images_are_turned_as_their_camera_was_held(folder: Path) -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:8] = 255  # bright above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right
    file = folder / "val" / "cat" / "0.png"
    Image.fromarray(pixels).save(file, exif=exif)
    image = load(folder, normalize="none").test.images[0, 0]
    assert float(image[:, -8:].mean()) == 1.0
    assert float(image[:, :24].mean()) == 0.0


def test_pixels_that_nobody_can_scale_are_one_sentence(folder: Path) -> None:
    file = folder / "val" / "cat" / "float.tiff"
    Image.fromarray(np.ones((8, 8), np.float32)).save(file)
    with pytest.raises(DataError, match=r"float.tiff: its pixels are float numbers"):
        load(folder)
    Image.fromarray(np.full((8, 8), 1_000_000, np.int32)).save(file)
    with pytest.raises(DataError, match="values of 16 bits, found 1000000 to 1000000"):
        load(folder)
    content = (folder / "val" / "cat" / "0.png").read_bytes()
    file.unlink()
    (folder / "val" / "cat" / "0.png").write_bytes(content[:200])
    with pytest.raises(DataError, match=r"cannot read the image .*0.png: image file is truncated"):
        load(folder)


def move(folder: Path, old: str, new: str) -> None:
    (folder / old).rename(folder / new)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test", "Val"])
def test_the_tested_part_has_several_names(folder: Path, name: str) -> None:
    move(folder, "val", "kept")
    move(folder, "kept", name)
    task = load(folder)
    assert [len(split) for split in (task.train, task.search, task.test)] == [27, 3, 9]


def test_with_val_and_test_nothing_is_held_out(folder: Path) -> None:
    for part, count in (("val", 3), ("test", 2)):
        for name in ("cat", "dog", "eel"):
            place = folder / part / name
            place.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(place / f"{index}.png")
    task = load(folder)
    assert [len(split) for split in (task.train, task.search, task.test)] == [30, 9, 6]
    assert task.search_origin == "the folder val, not trained on"


def test_a_part_that_is_missing_or_double_is_named(folder: Path) -> None:
    move(folder, "val", "later")
    with pytest.raises(DataError, match="expected a folder val or test, found later, train"):
        load(folder)
    move(folder, "later", "val")
    (folder / "valid").mkdir()
    with pytest.raises(DataError, match=r"expected one of val, .*, found val and valid"):
        load(folder)
    (folder / "valid").rmdir()
    for file in (folder / "val" / "dog").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="expected images, found none"):
        load(folder)
    (folder / "val" / "dog").rmdir()
    with pytest.raises(DataError, match="the same classes as for training: it lacks dog"):
        load(folder)
    with pytest.raises(DataError, match="expected a folder train, found no folder"):
        load(folder / "train" / "cat")
    with pytest.raises(DataError, match="no such folder"):
        load(folder / "nowhere")


def test_images_of_the_right_size_stay_as_they_are_unless_told(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "val" / "cat" / "0.png")
    plain = torch.from_numpy(pixels.transpose(2, 0, 1)) / 255

    def first(**changes: object) -> torch.Tensor:
        image: torch.Tensor = load(folder, normalize="none", **changes).test.images[0]
        return image

    assert torch.equal(first(), plain)
    assert torch.equal(first(resize=32), plain)
    assert torch.equal(first(image_size=None, crop=32), plain)
    assert torch.equal(first(image_size=None, resize=32, crop=24), plain[:, 4:28, 4:28])
    assert not torch.equal(first(resize=40), plain)
    assert first(image_size=16, crop=32).shape == (3, 16, 16)
    wide = load(folder, normalize="none", crop=0)
    assert wide.test.images.shape[1:] == (3, 32, 32)
    assert wide.preprocessing is not None
    assert wide.preprocessing.geometry == "the whole image to 32x32"


def test_pixels_are_normalised_as_told(folder: Path) -> None:
    pixels = load(folder, normalize="none").test.images
    assert 0 <= float(pixels.min()) <= float(pixels.max()) <= 1
    own = load(folder, normalize="0.5,0.4,0.3/0.25,0.2,0.1").test.images
    mean, deviation = torch.tensor((0.5, 0.4, 0.3)), torch.tensor((0.25, 0.2, 0.1))
    assert torch.allclose(own, (pixels - mean[:, None, None]) / deviation[:, None, None])
    assert torch.equal(load(folder, normalize="imagenet").test.images, load(folder).test.images)
    assert torch.allclose(load(folder, normalize="0.5/0.5").test.images, 2 * pixels - 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"normalize": "cifar"}, "task.normalize: expected none, imagenet, or MEAN/DEVIATION"),
        ({"normalize": "0.5,0.5/0.5"}, "a deviation for each mean, found 2 and 1"),
        ({"normalize": "123.7/58.4"}, "numbers of pixels in 0..1"),
        ({"normalize": "0.5/0"}, "numbers of pixels in 0..1"),
        ({"resize": 28}, "at least the 32 pixels that are cut out, found 28"),
        ({"resize": 40, "crop": 0}, "with task.crop 0"),
        ({"crop": -1}, "task.crop: expected at least 0"),
        ({"name": "digits", "data": "", "resize": 40}, "only images of --task.name image-folder"),
        ({"name": "digits", "data": "", "normalize": "none"}, "the digits stay in 0..1"),
    ],
)
def test_keys_of_images_that_cannot_be_are_refused(
    tmp_path: Path, values: dict[str, object], message: str
) -> None:
    with pytest.raises(TaskError, match=message):
        load(tmp_path, **values)


@pytest.mark.skipif(not os.environ.get(SHARED_DATA), reason=f"{SHARED_DATA} does not name a folder")
def test_the_published_resnet_20_is_as_good_as_it_is(tmp_path: Path) -> None:
    """1,609 of the 2,000, to the image, under libjpeg-turbo 2.1, 3.0 and 3.2."""
    shared = Path(os.environ[SHARED_DATA])
    with tarfile.open(shared / "cifar10-jpeg-part.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    task = load(
        tmp_path / "cifar10-jpeg-part",
        network="resnet20",
        weights=str(shared / "resnet20-12fca82f.th"),
        resize=32,
        normalize="imagenet",
    )
    scores = module_scores(float_module(task, 0), task.test, task.objective)
    assert scores.score.count == 2000
    assert 2000 * scores.score.value == pytest.approx(1609, abs=4)  # decoders of JPEG differ
