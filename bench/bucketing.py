"""What `bucket_by_length` saves, by turns with plain shuffling: `python -m bench.bucketing`."""

import time
import tracemalloc

import numpy as np

import fastrnn as fr

SEQUENCES, FEATURES, CLASSES, BATCH_SIZE, TURNS = 2048, 16, 10, 32, 4


def data(rng, *, per_step):
    """Return sequences of log-normal lengths, median 60, of 4 to 600 steps."""
    lengths = np.clip(rng.lognormal(np.log(60), 0.7, SEQUENCES), 4, 600).astype(int)
    x = [rng.standard_normal((n, FEATURES)).astype(np.float32) for n in lengths]
    y = [rng.integers(0, CLASSES, n) for n in lengths]
    return fr.data.Dataset(x, y if per_step else [row[0] for row in y])


def models():
    """Yield (name, layers, whether it has an output per step)."""
    gru, linear = fr.GRU(FEATURES, 64, seed=0), fr.Linear(64, CLASSES, seed=1)
    yield "GRU 64, a class per sequence", [gru, fr.Last(), linear], False
    gru, linear = fr.GRU(FEATURES, 64, seed=0), fr.Linear(64, CLASSES, seed=1)
    yield "GRU 64, a class per step", [gru, linear], True
    head = [fr.Last(), fr.Linear(256, CLASSES, seed=1)]
    yield "LSTM 256, a class per sequence", [fr.LSTM(FEATURES, 256, seed=0), *head], False


def epoch(model, source, bucket_by_length):
    """Go forward and back over all batches; return the CPU seconds and the steps with padding."""
    loss, rng, steps = fr.losses.SoftmaxCrossEntropy(), np.random.default_rng(1), 0
    begin = time.process_time()
    for batch in source.batches(rng, batch_size=BATCH_SIZE, bucket_by_length=bucket_by_length):
        outputs, _, tape = model.forward(batch.x, lengths=batch.lengths)
        _, doutputs = loss(outputs, batch.y, batch.mask)
        model.zero_grad()
        model.backward(tape, doutputs, input_gradient=False)
        steps += batch.x.shape[0] * batch.x.shape[1]
    return time.process_time() - begin, steps


def main():
    """Print a line per model."""
    print(f"{'model':32} {'shuffled s':>10} {'bucketed s':>10} {'peak MB':>15}")
    for name, layers, per_step in models():
        model, source = fr.Sequential(layers), data(np.random.default_rng(0), per_step=per_step)
        seconds, padding, peaks = {}, {}, {}
        for bucket in (False, True) * TURNS:
            taken, steps = epoch(model, source, bucket)
            seconds[bucket] = min(taken, seconds.get(bucket, np.inf))
            padding[bucket] = steps / source.lengths.sum()
        for bucket in (False, True):
            tracemalloc.start()
            epoch(model, source, bucket)
            peaks[bucket] = tracemalloc.get_traced_memory()[1] / 1e6
            tracemalloc.stop()
        print(
            f"{name:32} {seconds[False]:10.3f} {seconds[True]:10.3f} "
            f"{peaks[False]:7.1f} {peaks[True]:7.1f}"
        )
    print(f"steps with padding / steps: {padding[False]:.2f} and {padding[True]:.2f}")


if __name__ == "__main__":
    main()
