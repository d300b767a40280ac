"""A sweep whose processes are killed at random moments: FOLDER KILLS WORLD BLOCKS.

The children are forked from a process that has imported everything and computed nothing, so that each costs a tenth of
a second. Every block that is written is a line of FOLDER/log.
"""

import os
import random
import signal
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import xarray  # noqa: F401  imported before the fork
import zarr  # noqa: F401

from qdbjax.sweeps import sweep
from qdbjax.sweeps.store import SweepStore

BLOCKS = int(sys.argv[4])
AXES = {"a": np.linspace(0.1, 1.0, 2 * BLOCKS - 1), "b": np.linspace(0.0, 1.0, 5)}  # the last block is not full


def wave(a, b):
    """Two variables, NaN in a whole block, so that NaN cannot mark what is missing."""
    return {"wave": jnp.where(a < 0.15, jnp.nan, jnp.sin(a) * jnp.exp(b)), "pair": jnp.stack([a, b])}


def run(out, rank, world, log):
    """The sweep, with every block that has been written in a log; of several processes, each a task of SLURM."""
    os.environ |= {"SLURM_PROCID": str(rank), "SLURM_NTASKS": str(world)}
    write = SweepStore.write

    def logged(self, region, results):
        write(self, region, results)
        with open(log, "a") as file:
            file.write(f"{region[0].start}\n")

    SweepStore.write = logged
    return sweep(wave, out=out, resume=True, rank="auto" if world > 1 else None, batch_size=10, **AXES)


def child(*arguments):
    """A process that does this and nothing else."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            run(*arguments)
            code = 0
        finally:
            os._exit(code)
    return pid


def lines(path):
    """Lines of a file that may not be there yet."""
    if not os.path.exists(path):
        return 0
    with open(path, "rb") as file:
        return file.read().count(b"\n")


def wait(log, blocks, seconds):
    """Until so many more blocks have been written, or the time has passed."""
    enough, deadline = lines(log) + blocks, time.monotonic() + seconds
    while lines(log) < enough and time.monotonic() < deadline:
        time.sleep(0.001)


def main():
    """Without interruption, into whole.zarr; then kill, go on to the end, and print how often it was killed."""
    folder, kills, world = sys.argv[1], *map(int, sys.argv[2:4])
    out, log = os.path.join(folder, "run.zarr"), os.path.join(folder, "log")
    shares = [(rank, world) for rank in range(world)]
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_compilation_cache_dir", os.path.join(folder, "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    codes = [os.waitpid(child(os.path.join(folder, "whole.zarr"), 0, 1, os.devnull), 0)[1]]
    moments, hit = random.Random(kills + world), 0
    while hit < kills:
        children = [child(out, *share, log) for share in shares]
        # In blocks, too, so that a fast machine is killed as often before it is done.
        if hit % 2 == 0:  # any moment, the making of the store among them
            wait(log, BLOCKS // (kills + 5), moments.uniform(0.0, 0.3))
        else:  # a moment at which blocks are written
            wait(log, moments.randint(1, BLOCKS // (kills + 5)), 5.0)
            time.sleep(moments.uniform(0.0, 0.003))
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        ended = [os.WIFSIGNALED(os.waitpid(pid, 0)[1]) for pid in children]
        if not any(ended):
            break
        hit += 1
    codes += [os.waitpid(child(out, *share, log), 0)[1] for share in shares]
    print(hit, codes)


if __name__ == "__main__":
    main()
