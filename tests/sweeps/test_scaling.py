"""The commands of docs/scaling.md, run as they stand there on this machine: the same bytes by all of them."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "scaling.md"
pytestmark = pytest.mark.slow


def sections():
    """Fenced blocks by language and heading."""
    found = {}
    for part in re.split(r"^## ", DOCS.read_text(), flags=re.M):
        heading = part.splitlines()[0]
        for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", part, flags=re.M | re.S):
            found.setdefault((language, heading), text)
    return found


TEXT = sections()
JOB = next(text for (language, _), text in TEXT.items() if language == "toml")


def free_port(among=(0,)):
    """The first of these that nobody has; 0: whichever the system gives."""
    for port in among:
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return sock.getsockname()[1]
    raise AssertionError("no port is free")


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    """Environment of all processes: the commands on PATH, `srun` among them, and one cache of programs."""
    folder = tmp_path_factory.mktemp("environment")
    for name, line in (("qdbjax", f'exec "{sys.executable}" -m qdbjax "$@"'), ("srun", 'exec "$@"')):
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    (folder / "dask").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dask "$@"\n')
    (folder / "dask").chmod(0o755)
    root = str(DOCS.parents[1])
    python = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "OMPI", "XLA_FLAGS"))}
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": python, "QDBJAX_CACHE": str(folder / "programs")}


def start(command, folder, variables):
    return subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(folder, *commands_and_variables):
    """All at the same time, to their ends."""
    (folder / "job.toml").write_text(JOB)
    running = [start(command, folder, variables) for command, variables in commands_and_variables]
    said = [process.communicate(timeout=200)[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(running), "\n".join(said)
    return said


def files(path):
    return {each.relative_to(path): each.read_bytes() for each in path.rglob("c/**/*") if each.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, variables):
    """The store of the laptop."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, (TEXT["sh", "Laptop"], variables))
    assert (folder / "run.png").exists() and len(files(folder / "run.zarr")) == 3 + 4 * 4
    return folder / "run.zarr"


def test_several_devices(tmp_path, whole, variables):
    run(tmp_path, (TEXT["sh", "Several GPUs of one machine"], variables))
    assert files(tmp_path / "run.zarr") == files(whole)


def test_two_ranks(tmp_path, whole, variables):
    lines = TEXT["sh", "Several machines: plain processes"].splitlines()
    assert len(lines) == 2
    run(tmp_path, *[(line, variables) for line in lines])
    assert files(tmp_path / "run.zarr") == files(whole) and (tmp_path / "run.png").exists()


def test_a_slurm_array(tmp_path, whole, variables):
    script = TEXT["sh", "SLURM"]
    array = {"SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_STEP": "1"}
    task = {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1", "SLURM_JOB_ID": "7"}
    run(tmp_path, *[(script, {**variables, **array, **task, "SLURM_ARRAY_TASK_ID": str(n)}) for n in range(2)])
    assert files(tmp_path / "run.zarr") == files(whole)


def test_dask(tmp_path, whole, variables):
    text = TEXT["sh", "Dask"].replace("10.0.0.1", "127.0.0.1").replace("8786", str(free_port()))
    scheduler, workers, client = text.splitlines()
    others = [start(f"{scheduler} --no-dashboard", tmp_path, variables), start(workers, tmp_path, variables)]
    try:
        (said,) = run(tmp_path, (client, variables))
    finally:
        for process in others:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=30)
    assert files(tmp_path / "run.zarr") == files(whole) and "Traceback" not in said


PRINT = """
numbers = [value, *(gradient[name] for name in sorted(gradient))]
print(jax.process_count(), jax.device_count(), *[float(each).hex() for each in numbers])
"""
ON_ONE_DEVICE = """
value, gradient = jax.jit(jax.value_and_grad(loss))({"strength": 0.02, "cold": 0.3}, (T, splitting, 1e-3 * T))
"""


def test_one_loss_over_two_processes(tmp_path, variables):
    """Two processes as SLURM would start them give the bytes of one process with two devices."""
    program = TEXT["python", "One computation over several processes"] + PRINT
    (tmp_path / "global_loss.py").write_text(program)
    single = program.replace("jax.distributed.initialize()\n", "") + ON_ONE_DEVICE + PRINT
    (tmp_path / "alone.py").write_text(single)
    job = free_port(range(61440 + os.getpid() % 4000, 65536)) - 61440  # from which JAX takes its port
    slurm = {"SLURM_JOB_ID": str(job), "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2"}
    quick = {**variables, "XLA_FLAGS": os.environ["XLA_FLAGS"]}  # of these tests
    of = [{**quick, **slurm, "SLURM_PROCID": str(n), "SLURM_LOCALID": str(n)} for n in range(2)]
    command = f"srun {sys.executable} global_loss.py"
    two = run(tmp_path, *[(command, each) for each in of])
    quick["XLA_FLAGS"] += " --xla_force_host_platform_device_count=2"
    (one,) = run(tmp_path, (f"{sys.executable} alone.py", quick))
    told = [line.split() for said in (*two, one) for line in said.splitlines() if "0x" in line]
    assert [each[:2] for each in told] == [["2", "2"]] * 2 + [["1", "2"]] * 2
    assert told[0][2:] == told[1][2:] == told[2][2:]
    spread, alone = ([float.fromhex(each) for each in line[2:]] for line in told[2:])
    assert spread == pytest.approx(alone, rel=4e-15, abs=0)  # one device adds in another order
    assert len(spread) == 3 and all(abs(each) > 1e-9 for each in spread)
