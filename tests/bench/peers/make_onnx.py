"""Writes the parts of LlavaGuard 0.5B as ONNX graphs with random weights, for onnxruntime-web to be timed on.

    python make_onnx.py FOLDER [--layers 4] [--seed 0]

Written for each of f32, int8 (dynamic quantisation, signed weights by column) and 4 bits (MatMulNBits, blocks of 32,
accuracy level 4, which multiplies whole numbers):

    tower-FORMAT.onnx    `--layers` layers of SigLIP-so400m over one tile
    decoder-FORMAT.onnx  `--layers` layers of Qwen2 0.5B over any number of tokens behind any number of others
    head-FORMAT.onnx     final norm, the vocabulary's logits of one token, and the likeliest

Layers are alike, so some of them tell what all take; a file with all of them in f32 would not fit a tab. The graphs
use the fused operators that onnxruntime's own optimiser makes of exported models: the tower's attention with its
softmax, layer norm with the residual before it, rotary embedding, SiLU, GELU with its bias.
"""

import argparse
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

MICROSOFT = "com.microsoft"
PATCHES, TOWER, TOWER_INNER, TOWER_HEADS = 729, 1152, 4304, 16
HIDDEN, INNER, HEADS, KV_HEADS, HEAD, VOCABULARY = 896, 4864, 14, 2, 64, 151936
POSITIONS, THETA = 4096, 1e6
EPS = 1e-6
# The fused operators' outputs have no type that onnx's shape inference knows.
INT8 = {
    "weight_type": QuantType.QInt8,
    "per_channel": True,
    "extra_options": {"DefaultTensorType": TensorProto.FLOAT},
}


class Graph:
    """Nodes and weights as they are added."""

    def __init__(self, random):
        self.random = random
        self.nodes = []
        self.weights = []

    def constant(self, values):
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(numpy.ascontiguousarray(values, dtype=numpy.float32), name))
        return name

    def integers(self, values):
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(numpy.array(values, dtype=numpy.int64), name))
        return name

    def noise(self, *shape):
        """Random numbers that keep what passes through them at its size."""
        return self.constant(self.random.standard_normal(shape, dtype=numpy.float32) / shape[0] ** 0.5)

    def node(self, operator, *inputs, outputs=1, domain="", **attributes):
        names = [f"{operator}_{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def linear(self, x, inputs, outputs):
        return self.node("MatMul", x, self.noise(inputs, outputs))

    def ones(self, width):
        return self.constant(numpy.ones(width))

    def zeros(self, width):
        return self.constant(numpy.zeros(width))

    def model(self, name, inputs, outputs):
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.weights)
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def floats(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def tower(layers, random):
    graph = Graph(random)
    skip, branch, bias = "x", None, None
    for _ in range(layers):
        x, skip = norm(graph, skip, branch, bias)
        q, k, v = (graph.linear(x, TOWER, TOWER) for _ in range(3))
        attended = graph.node(
            "MultiHeadAttention", q, k, v, graph.zeros(3 * TOWER), domain=MICROSOFT, num_heads=TOWER_HEADS
        )
        x, skip = norm(graph, skip, graph.linear(attended, TOWER, TOWER), graph.zeros(TOWER))
        inner = graph.linear(x, TOWER, TOWER_INNER)
        inner = graph.node("FastGelu", inner, graph.zeros(TOWER_INNER), domain=MICROSOFT)
        branch, bias = graph.linear(inner, TOWER_INNER, TOWER), graph.zeros(TOWER)
    graph.nodes.append(helper.make_node("Add", [graph.node("Add", skip, branch), bias], ["y"]))
    return graph.model("tower", [floats("x", 1, PATCHES, TOWER)], [floats("y", 1, PATCHES, TOWER)])


def norm(graph, skip, branch, bias):
    """Layer norm of the sum of residual, branch and the branch's bias; gives the norm and the sum."""
    gain, shift = graph.ones(TOWER), graph.zeros(TOWER)
    if branch is None:
        return graph.node("LayerNormalization", skip, gain, shift, axis=-1, epsilon=EPS), skip
    x, _, _, total = graph.node(
        "SkipLayerNormalization", branch, skip, gain, shift, bias, outputs=4, domain=MICROSOFT, epsilon=EPS
    )
    return x, total


def decoder(layers, random):
    graph = Graph(random)
    angles = numpy.outer(numpy.arange(POSITIONS), THETA ** (-numpy.arange(0, HEAD, 2) / HEAD))
    cos, sin = graph.constant(numpy.cos(angles)), graph.constant(numpy.sin(angles))
    inputs = [floats("x", 1, "tokens", HIDDEN), floats("mask", "tokens", "present")]
    inputs.append(helper.make_tensor_value_info("positions", TensorProto.INT64, [1, "tokens"]))
    outputs = [floats("y", 1, "tokens", HIDDEN)]
    skip, branch = "x", None
    for layer in range(layers):
        x, skip = rms_norm(graph, skip, branch)
        q, k, v = (
            graph.node("Add", graph.linear(x, HIDDEN, width), graph.zeros(width))
            for width in (HIDDEN, KV_HEADS * HEAD, KV_HEADS * HEAD)
        )
        q, k = (
            graph.node("RotaryEmbedding", part, "positions", cos, sin, domain=MICROSOFT, num_heads=heads)
            for part, heads in ((q, HEADS), (k, KV_HEADS))
        )
        for name in ("key", "value"):
            inputs.append(floats(f"past_{layer}_{name}", 1, KV_HEADS, "past", HEAD))
            outputs.append(floats(f"present_{layer}_{name}", 1, KV_HEADS, "present", HEAD))
        attended = attention(graph, layer, q, k, v)
        x, skip = rms_norm(graph, skip, graph.linear(attended, HIDDEN, HIDDEN))
        gate = graph.node("QuickGelu", graph.linear(x, HIDDEN, INNER), domain=MICROSOFT, alpha=1.0)
        inner = graph.node("Mul", gate, graph.linear(x, HIDDEN, INNER))
        branch = graph.linear(inner, INNER, HIDDEN)
    graph.nodes.append(helper.make_node("Add", [skip, branch], ["y"]))
    return graph.model("decoder", inputs, outputs)


def attention(graph, layer, q, k, v):
    """Grouped-query attention behind a cache, by products of all heads at once.

    (GroupQueryAttention does it in one operator, and took four times as long over a prompt.)
    """
    shape = lambda *sizes: graph.integers(sizes)
    group = HEADS // KV_HEADS
    # [1, tokens, HIDDEN] to [KV_HEADS, group, tokens, HEAD]; keys and values to [1, KV_HEADS, present, HEAD].
    q = graph.node("Reshape", q, shape(-1, KV_HEADS, group, HEAD))
    q = graph.node("Transpose", q, perm=[1, 2, 0, 3])
    cached = []
    for name, part in (("key", k), ("value", v)):
        part = graph.node("Transpose", graph.node("Reshape", part, shape(1, -1, KV_HEADS, HEAD)), perm=[0, 2, 1, 3])
        present = f"present_{layer}_{name}"
        graph.nodes.append(helper.make_node("Concat", [f"past_{layer}_{name}", part], [present], axis=2))
        cached.append(graph.node("Transpose", present, perm=[1, 0, 3, 2] if name == "key" else [1, 0, 2, 3]))
    keys, values = cached
    q = graph.node("Mul", q, graph.constant([HEAD**-0.5]))
    scores = graph.node("Add", graph.node("MatMul", q, keys), "mask")
    attended = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), values)
    attended = graph.node("Transpose", attended, perm=[2, 0, 1, 3])
    return graph.node("Reshape", attended, shape(1, -1, HIDDEN))


def rms_norm(graph, skip, branch):
    """RMS norm of the sum of residual and branch; gives the norm and the sum."""
    gain = graph.ones(HIDDEN)
    if branch is None:
        return graph.node("SimplifiedLayerNormalization", skip, gain, axis=-1, epsilon=EPS), skip
    x, _, _, total = graph.node(
        "SkipSimplifiedLayerNormalization", branch, skip, gain, outputs=4, domain=MICROSOFT, epsilon=EPS
    )
    return x, total


def head(random):
    graph = Graph(random)
    x = graph.node("SimplifiedLayerNormalization", "x", graph.ones(HIDDEN), axis=-1, epsilon=EPS)
    logits = graph.linear(x, HIDDEN, VOCABULARY)
    graph.nodes.append(helper.make_node("ArgMax", [logits], ["token"], axis=-1))
    token = helper.make_tensor_value_info("token", TensorProto.INT64, [1, 1, 1])
    return graph.model("head", [floats("x", 1, 1, HIDDEN)], [token])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    random = numpy.random.default_rng(arguments.seed)
    parts = {
        "tower": lambda: tower(arguments.layers, random),
        "decoder": lambda: decoder(arguments.layers, random),
        "head": lambda: head(random),
    }
    for name, make in parts.items():
        path = lambda format: arguments.folder / f"{name}-{format}.onnx"
        model = make()
        onnx.save(model, path("f32"))
        quantize_dynamic(path("f32"), path("int8"), **INT8)
        narrow = MatMulNBitsQuantizer(model, bits=4, block_size=32, is_symmetric=True, accuracy_level=4)
        narrow.process()
        onnx.save(narrow.model.model, path("4bit"))
        for format in ("f32", "int8", "4bit"):
            print(f"{path(format).name}: {path(format).stat().st_size / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
