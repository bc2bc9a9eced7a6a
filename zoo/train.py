"""Trains one of the paper's three architectures, or one that is often deployed, on one of the paper's four data
sets, and writes ONNX.

    python zoo/train.py --arch small --data /usr/share/datasets/fashion-mnist \\
        --epochs 16 --seed 1 --out models/fashion_small.onnx
    python zoo/train.py --arch inception --dataset svhn --data svhn --pooling average \\
        --dropout 0.2 --epochs 7 --out svhn_inception.onnx

The test split is read once, after training. Which epoch is kept is decided on images held out
of the train split.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

import datasets
import export
import architectures
import deployed
from network import Network


ARCHITECTURES = architectures.ARCHITECTURES | deployed.ARCHITECTURES
RESIZE = architectures.RESIZE | deployed.RESIZE


def steps_of(args, channels):
    """The steps of the architecture, for images of so many channels."""
    if args.arch in architectures.ARCHITECTURES:
        return architectures.build(args.arch, channels, args.pooling, args.dropout)
    return deployed.ARCHITECTURES[args.arch](channels, args.dropout)


def prepare(images, resize):
    """Pixels `[n, c, h, w]` between 0 and 1 of bytes `[n, h, w, c]`, resized if the network wants it."""
    x = images.float().div(255).permute(0, 3, 1, 2)
    if resize is not None:
        rows, columns = (
            torch.from_numpy(datasets.resize_matrix(n, resize)) for n in x.shape[2:]
        )
        x = rows @ x @ columns.T
    return x.contiguous(memory_format=torch.channels_last)


def augment(images, generator, shift, may_flip):
    """Flip half of the images, where that leaves their class, and move each by up to `shift` pixels."""
    n, height, width, _ = images.shape
    flip = torch.rand(n, generator=generator) < 0.5
    if may_flip:
        images = torch.where(flip[:, None, None, None], images.flip(2), images)
    if shift == 0:
        return images
    padded = functional.pad(images, (0, 0) + (shift,) * 4)
    rows = torch.randint(0, 2 * shift + 1, (n, 1, 1), generator=generator)
    columns = torch.randint(0, 2 * shift + 1, (n, 1, 1), generator=generator)
    rows = rows + torch.arange(height)[None, :, None]
    columns = columns + torch.arange(width)[None, None, :]
    return padded[torch.arange(n)[:, None, None], rows, columns]


def count_correct(network, images, labels, resize, batch=250):
    network.eval()
    correct = 0
    with torch.inference_mode():
        for x, y in zip(images.split(batch), labels.split(batch)):
            correct += (network(prepare(x, resize)).argmax(1) == y).sum().item()
    return correct


def load(args, split):
    """Images `[n, h, w, c]` and labels `[n]` of `train` or `test`."""
    images, labels = datasets.load(args.dataset, args.data, split)
    images, labels = (torch.from_numpy(a[: args.limit].copy()) for a in (images, labels))
    return images, labels.long()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=ARCHITECTURES, required=True)
    parser.add_argument("--dataset", choices=datasets.DATASETS, default="fashion")
    parser.add_argument("--data", type=Path, required=True, help="its folder, or an .npz")
    parser.add_argument("--pooling", choices=("max", "average"), default="max", help="of Inception")
    parser.add_argument("--dropout", type=float, default=0.0, help="before the dense layer")
    parser.add_argument("--limit", type=int, help="so many images of each split only, to try it out")
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
    images, labels = load(args, "train")
    channels, may_flip = images.shape[3], args.dataset in datasets.MAY_FLIP
    # The first images are never held out: they are the ones that later calibrate.
    n_train = len(images) - args.held_out
    held_out = images[n_train:], labels[n_train:]
    images, labels = images[:n_train], labels[:n_train]

    network = Network(steps_of(args, channels)).to(memory_format=torch.channels_last)
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
            x = prepare(augment(images[chosen], generator, args.shift, may_flip), extent)
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

    images, labels = load(args, "test")
    correct = count_correct(network, images, labels, resize)
    extents = [resize] * 2 if resize else images.shape[1:3]
    sha256 = export.write(network, args.out.stem, [channels, *extents], args.out)
    args.out.with_suffix(".toml").write_text(datasets.preprocessing(resize))
    scales = torch.cat([m.weight.detach() for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    summary = {
        "model": args.out.name, "arch": args.arch, "dataset": args.dataset, "epochs": args.epochs, "seed": args.seed,
        "parameters": sum(p.numel() for p in network.parameters()),
        "held_out_correct": best, "held_out_images": args.held_out,
        "test_correct": correct, "test_images": len(images),
        "negative_batch_norm_scales": int((scales < 0).sum()),
        "seconds": round(time.monotonic() - started), "sha256": sha256,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
