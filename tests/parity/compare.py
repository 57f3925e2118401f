"""Compares a trace of the engine with transformers, stage by stage.

    python compare.py TRACE.safetensors GOLDEN.safetensors
    python compare.py TRACE.safetensors --checkpoint DIR --image IMAGE [--policy FILE] [--save F]

TRACE is what `llavaguard trace IMAGE --model M --detail high --out TRACE.safetensors` wrote. With
`--checkpoint`, the reference is computed here from the checkpoint folder M was converted from, in f32
on the training-wrapped v1.2 default policy (or the text in FILE), and kept in F if asked.

For each stage: the norm of the difference over the norm of the reference, and the largest difference
over the largest value. Exit status 1 if a stage is further off than `--tolerance` (1e-3), or ids differ;
with `--report-only` it is 0, for quantised models.
"""

import argparse
import sys
from pathlib import Path

from safetensors.torch import save_file

from reference import STAGES, read_stages, stages


def compare(name, found, expected, tolerance):
    """One line about a stage, and whether it is good."""
    if tuple(found.shape) != tuple(expected.shape):
        return f"{name:16} shape {tuple(found.shape)}, reference {tuple(expected.shape)}", False
    shape = str(tuple(expected.shape))
    if name.endswith("_ids"):
        same = found.long() == expected.long()
        agreed = f"{int(same.sum())} of {same.numel()} ids agree"
        return f"{name:16} {shape:22} {agreed}", bool(same.all())
    found, expected = found.double(), expected.double()
    difference = found - expected
    relative = float(difference.norm() / expected.norm())
    largest = float(difference.abs().max() / expected.abs().max())
    line = f"{name:16} {shape:22} relative {relative:.2e}   largest {largest:.2e}"
    # Written so that a NaN fails.
    return line, relative <= tolerance


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trace", type=Path)
    parser.add_argument("golden", type=Path, nargs="?")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--policy", type=Path, help="text of the policy; the v1.2 default if absent")
    parser.add_argument("--save", type=Path, help="where to keep the reference computed here")
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--report-only", action="store_true")
    arguments = parser.parse_args()

    if arguments.golden:
        reference = read_stages(arguments.golden)
    elif arguments.checkpoint and arguments.image:
        policy = arguments.policy.read_text(encoding="utf-8") if arguments.policy else None
        reference, margin = stages(arguments.checkpoint, arguments.image, policy)
        print(f"narrowest lead of a greedy token: {margin:.4f}")
        if arguments.save:
            save_file(reference, arguments.save)
    else:
        parser.error("give a golden file, or --checkpoint and --image")

    trace = read_stages(arguments.trace)
    good = True
    for name in STAGES:
        if name not in trace:
            line, fine = f"{name:16} is not in the trace", False
        else:
            line, fine = compare(name, trace[name], reference[name], arguments.tolerance)
        print(line if fine else f"{line}   <-- off")
        good = good and fine
    sys.exit(0 if good or arguments.report_only else 1)


if __name__ == "__main__":
    main()
