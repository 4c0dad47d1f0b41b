"""Cost of drawing episodes, of the training loop and of tasks in meta-training.

    python benchmarks/meta_training_cost.py

Prints the share of a meta-training step that drawing and padding take; the time of
skorch's loop relative to a hand-written one over the same batches (medians of three
runs each, alternating); meta-training tasks a second of `TransformerMetaRegressor`,
loop and base learner included, relative to plain PyTorch encoder-decoders in a
hand-written loop over the same batches, one with as many layers of the same width, and
one with a layer more on either side, which has about as many parameters; and the peak
memory of meta-training on 100,000 tasks of 50 rows and 10 features, relative to the raw
arrays and beyond the import's own. One thread, default sizes.
"""

import resource
import subprocess
import sys
import time

import numpy as np
import torch
from _results import argument_parser, open_results

from skmeta import AttentionMetaRegressor, TransformerMetaRegressor
from skmeta._training.config import REGRESSION
from skmeta._training.initialization import initialize
from skmeta._training.loop import EpisodeBatches, QueryLoss, fit_network
from skmeta._training.meta_training import EpisodeStream, build_network
from skmeta._training.preprocessing import fit_preprocessing
from skmeta._training.split import split_tasks
from skmeta._utils.threads import single_thread
from skmeta.datasets import make_linear_tasks

N_STEPS = 300


class EncoderDecoder(torch.nn.Module):
    """PyTorch's own Transformer, at the default sizes of an estimator."""

    def __init__(self, n_features, embed_dim=48, n_heads=4, n_layers=2):
        super().__init__()
        self.rows = torch.nn.Linear(n_features + 1, embed_dim)
        self.queries = torch.nn.Linear(n_features, embed_dim)
        sizes = {
            "d_model": embed_dim, "nhead": n_heads, "dim_feedforward": 2 * embed_dim,
            "dropout": 0.0, "activation": "gelu", "batch_first": True,
            "norm_first": True,
        }  # fmt: skip
        encoder = torch.nn.TransformerEncoderLayer(**sizes)
        self.encoder = torch.nn.TransformerEncoder(
            encoder, n_layers, enable_nested_tensor=False
        )
        decoder = torch.nn.TransformerDecoderLayer(**sizes)
        self.decoder = torch.nn.TransformerDecoder(decoder, n_layers)
        self.out = torch.nn.Linear(embed_dim, 2)

    def forward(self, x_support, offset_support, weight_support, y_support, x_query,
                offset_query):  # fmt: skip
        rows = self.rows(torch.cat([x_support, y_support[..., None]], -1))
        rows = torch.nn.functional.pad(rows, (0, 0, 1, 0))  # for a task of no rows
        hidden = torch.nn.functional.pad(weight_support == 0, (1, 0))
        encoded = self.encoder(rows, src_key_padding_mask=hidden)
        decoded = self.decoder(
            self.queries(x_query), encoded, memory_key_padding_mask=hidden
        )
        mean, log_variance = self.out(decoded).unbind(-1)
        return mean, log_variance.exp()


def prepare(tasks, system=AttentionMetaRegressor):
    """Settings, network and batches of one meta-training at the default sizes."""
    learner = system(pooled_estimator=None, max_epochs=1, device="cpu", random_state=0)
    config, rng = learner._config(REGRESSION), np.random.default_rng(0)
    _, split = fit_preprocessing(split_tasks(tasks, None, config, rng), config, None)
    init = initialize(split, config)
    stream = EpisodeStream(split, init, config.n_query, rng)
    stream.prior_share = 0.0  # rows of the tasks alone
    settings = config.loop_settings(len(tasks))._replace(steps_per_epoch=N_STEPS)
    batches = EpisodeBatches(
        stream, N_STEPS, settings.batch_size, config.n_support, rng
    )
    return (config, settings), build_network(init, config, None), batches


def hand_written(network, items):
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=1e-3, weight_decay=1e-2, fused=True
    )
    loss_of = QueryLoss()
    network.train()
    for i, (inputs, target) in enumerate(items):
        loss_of.joint_share = max(0.0, 1 - 2 * i / len(items))  # as in meta-training
        optimizer.zero_grad()
        loss = loss_of(network(**inputs), target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()


class Drawn(torch.utils.data.Dataset):
    """Batches that were drawn before."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def timed(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare_with_plain(results, n_features):
    tasks = make_linear_tasks(300, 40, n_features, random_state=0)
    settings, network, batches = prepare(tasks, TransformerMetaRegressor)
    items = [batches[i] for i in range(N_STEPS)]
    plain = [EncoderDecoder(n_features, n_layers=n) for n in (2, 3)]
    times = [[], [], []]
    for _ in range(3):
        for one, of_one in zip(plain, times[1:], strict=True):
            of_one.append(timed(lambda one=one: hand_written(one, items)))
        times[0].append(timed(lambda: looped(network, items, batches, *settings)))
    ours, *others = np.median(times, 1)
    ratios = [other / ours for other in others]
    tasks_per_second = batches.batch_size * N_STEPS / ours
    cells = [
        f"{ratio:.2f} times those of the plain one of {n_parameters(one):,}"
        for one, ratio in zip(plain, ratios, strict=True)
    ]
    results.add(
        f"{n_features} features: {tasks_per_second:.0f} tasks a second, "
        f"{n_parameters(network):,} parameters, {', '.join(cells)}",
        part="Transformer", n_features=n_features, tasks_per_second=tasks_per_second,
        n_parameters=n_parameters(network), ratio_same_layers=ratios[0],
        ratio_same_parameters=ratios[1],
    )  # fmt: skip


def n_parameters(network):
    return sum(p.numel() for p in network.parameters())


def looped(network, items, batches, config, settings):
    validation = [validation_items(batches)]
    fit_network(network, Drawn(items), validation, settings, config)


def loop_cost(results):
    settings, network, batches = prepare(make_linear_tasks(300, 40, 10, random_state=0))
    draw = timed(lambda: [batches[i] for i in range(N_STEPS)])
    items = [batches[i] for i in range(N_STEPS)]
    state = {k: v.clone() for k, v in network.state_dict().items()}
    times = {"skorch": [], "hand": []}
    for _ in range(3):
        network.load_state_dict(state)
        times["hand"].append(timed(lambda: hand_written(network, items)))
        network.load_state_dict(state)
        times["skorch"].append(
            timed(lambda: looped(network, items, batches, *settings))
        )
    skorch, hand = (np.median(times[name]) for name in ("skorch", "hand"))
    drawing, loop = draw / (draw + hand), skorch / hand
    results.add(
        f"draws: {drawing:.3f} of a step\nloop: {loop:.3f} times the hand-written one",
        part="loop", draw_share=drawing, loop_ratio=loop,
    )  # fmt: skip


def validation_items(batches):
    return batches.draw(np.full(4, 5))


def memory_of_many_tasks(results):
    """Run in a separate process: peak memory beyond the import's."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100_000 * 50, 10))
    y = rng.standard_normal(len(X))
    groups = np.repeat(np.arange(100_000), 50)
    from skmeta import TaskCollection

    tasks = TaskCollection.from_arrays(X, y, groups)
    AttentionMetaRegressor(max_epochs=2, random_state=0).meta_fit(tasks)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    ratio = (peak - before) / (X.nbytes + y.nbytes)
    results.add(
        f"memory: {ratio:.2f} times the raw arrays", part="memory", memory_ratio=ratio
    )


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--memory", action="store_true", help="this part alone")
    options, results = open_results(
        parser, key=("part", "n_features"), free=("memory",)
    )
    if options.memory:
        memory_of_many_tasks(results)
        return
    with single_thread():
        loop_cost(results)
        for n_features in (1, 10):
            compare_with_plain(results, n_features)
    subprocess.run([sys.executable, __file__, "--memory", *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
