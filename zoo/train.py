"""Trains one of the paper's three architectures on Fashion-MNIST and writes it as ONNX.

    python zoo/train.py --arch small --data /usr/share/datasets/fashion-mnist \\
        --epochs 16 --seed 1 --out models/fashion_small.onnx

The test split is read once, after training. Which epoch is kept is decided on images held out
of the train split.
"""

import argparse
import copy
import functools
import json
import math
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

import export
import idx
from architectures import ARCHITECTURES, RESIZE, Network


@functools.cache
def resize_matrix(n_in, n_out):
    """The weights `[n_out, n_in]` that resize one axis bilinearly.

    Output `k` lies at `(k + 0.5) * n_in / n_out - 0.5` of the input; a neighbor beyond the border
    is mirrored about the border pixel's center, -1 to 1. To make an image larger,
    `skimage.transform.resize` does just this.
    """
    weights = torch.zeros(n_out, n_in, dtype=torch.float64)
    for k in range(n_out):
        center = (k + 0.5) * n_in / n_out - 0.5
        left = math.floor(center)
        for i, weight in ((left, 1 - (center - left)), (left + 1, center - left)):
            i = abs(i)
            i = min(i, 2 * (n_in - 1) - i)
            weights[k, i] += weight
    return weights.float()


def prepare(images, resize):
    """Pixels `[n, 1, h, w]` between 0 and 1, resized if the network wants it."""
    x = images.float().div(255).unsqueeze(1)
    if resize is not None:
        x = resize_matrix(x.shape[2], resize) @ x @ resize_matrix(x.shape[3], resize).T
    return x.contiguous(memory_format=torch.channels_last)


def augment(images, generator, shift):
    """Flip half of the images, and move each by up to `shift` pixels."""
    n = len(images)
    flip = torch.rand(n, generator=generator) < 0.5
    images = torch.where(flip[:, None, None], images.flip(2), images)
    if shift == 0:
        return images
    padded = functional.pad(images, (shift,) * 4)
    rows = torch.randint(0, 2 * shift + 1, (n, 1, 1), generator=generator)
    columns = torch.randint(0, 2 * shift + 1, (n, 1, 1), generator=generator)
    rows = rows + torch.arange(28)[None, :, None]
    columns = columns + torch.arange(28)[None, None, :]
    return padded[torch.arange(n)[:, None, None], rows, columns]


def count_correct(network, images, labels, resize, batch=250):
    network.eval()
    correct = 0
    with torch.inference_mode():
        for x, y in zip(images.split(batch), labels.split(batch)):
            correct += (network(prepare(x, resize)).argmax(1) == y).sum().item()
    return correct


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=ARCHITECTURES, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the four IDX files")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=5e-3)
    parser.add_argument("--weight-decay", type=float, default=2e-2)
    parser.add_argument("--shift", type=int, default=1, help="largest random shift in pixels")
    parser.add_argument("--warm-epochs", type=int, default=0, help="first epochs at --warm-resize")
    parser.add_argument("--warm-resize", type=int, help="a smaller, faster extent to begin with")
    parser.add_argument("--held-out", type=int, default=3000, help="train images that choose")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="train in bfloat16 where that is safe")
    parser.add_argument("--steps", type=int, help="stop after this many steps, to time them")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    resize = RESIZE[args.arch]
    images, labels = (torch.from_numpy(a.copy()) for a in idx.load(args.data, "train"))
    labels = labels.long()
    # The first images are never held out: they are the ones that later calibrate.
    n_train = len(images) - args.held_out
    held_out = images[n_train:], labels[n_train:]
    images, labels = images[:n_train], labels[:n_train]

    network = Network(ARCHITECTURES[args.arch]()).to(memory_format=torch.channels_last)
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": args.weight_decay}, {"params": others, "weight_decay": 0}]
    )
    n_steps = args.epochs * (n_train // args.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.learning_rate, total_steps=n_steps, pct_start=0.25
    )
    loss_of = nn.CrossEntropyLoss()
    best, best_state, started = -1, None, time.monotonic()
    for epoch in range(1, args.epochs + 1):
        network.train()
        extent = args.warm_resize if epoch <= args.warm_epochs else resize
        order = torch.randperm(n_train, generator=generator)
        total_loss = 0.0
        for i in range(n_train // args.batch):
            chosen = order[i * args.batch : (i + 1) * args.batch]
            x = prepare(augment(images[chosen], generator, args.shift), extent)
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
                logits = network(x)
            loss = loss_of(logits.float(), labels[chosen])
            loss.backward()
            optimizer.step()
            schedule.step()
            total_loss += loss.item()
            if args.steps is not None and i + 1 == args.steps:
                seconds = (time.monotonic() - started) / args.steps
                print(f"{seconds:.3f} s a step, {seconds * (n_train // args.batch):.0f} s an epoch")
                return
        correct = count_correct(network, *held_out, extent)
        print(
            f"epoch {epoch}: loss {total_loss / (n_train // args.batch):.4f}, held out "
            f"{correct}/{args.held_out}, {time.monotonic() - started:.0f} s", flush=True,
        )
        # What a smaller extent gave says nothing about the one the network is for.
        if correct >= best or epoch == args.warm_epochs + 1:
            best, best_state = correct, copy.deepcopy(network.state_dict())
    network.load_state_dict(best_state)
    network.eval()

    images, labels = (torch.from_numpy(a.copy()) for a in idx.load(args.data, "t10k"))
    correct = count_correct(network, images, labels.long(), resize)
    sha256 = export.write(network, args.out.stem, resize or 28, args.out)
    scales = torch.cat([m.weight.detach() for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    summary = {
        "model": args.out.name, "arch": args.arch, "epochs": args.epochs, "seed": args.seed,
        "parameters": sum(p.numel() for p in network.parameters()),
        "held_out_correct": best, "held_out_images": args.held_out,
        "test_correct": correct, "test_images": len(images),
        "negative_batch_norm_scales": int((scales < 0).sum()),
        "seconds": round(time.monotonic() - started), "sha256": sha256,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
