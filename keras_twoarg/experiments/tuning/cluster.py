"""One search on many machines: a chief hands out trials, and workers run them, over KerasTuner's gRPC service.

All machines need the same data and a shared folder. Arms are searched one after another, arm i on port + i. If a worker
is killed, another one gets its trial. If the chief is killed, the workers wait until it is restarted and resumes.
"""

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keras_twoarg.experiments.training.datasets import Dataset
from keras_twoarg.experiments.training.result_folder import differences
from keras_twoarg.experiments.tuning import keras_tuner_internals as internals
from keras_twoarg.experiments.tuning.keras_tuner_internals import keras_tuner
from keras_twoarg.experiments.tuning.search import (
    OnTrial,
    Search,
    check,
    finish,
    keep,
    make_tuner,
    run_trials,
    search_folder,
    search_of,
)
from keras_twoarg.utils import files, versions
from keras_twoarg.utils.progress import Progress
from keras_twoarg.utils.types import JsonObject

HEARTBEAT = 2.0
"""Seconds between a worker's signs of life."""


class Lost(RuntimeError):
    """The other side has not been heard of for too long."""


def chief(
    search: Search,
    out: Path,
    address: str,
    *,
    worker_timeout: float = 60.0,
    chief_timeout: float = 1800.0,
    on_trial: OnTrial = lambda row: None,
    say: Callable[[str], None] = lambda text: None,
    data_dir: str | None = None,
) -> dict[str, list[JsonObject]]:
    """Hand out the trials of a search until all have ended.

    Args:
        search: What to search.
        out: The shared folder.
        address: `"HOST:PORT"` to listen on, or `"PORT"` for only this machine.
        worker_timeout: Seconds of silence after which a worker's trial goes to another one. Defaults to `60`.
        chief_timeout: Seconds without any worker after which the chief gives up; the search can be resumed. Defaults
            to `1800`.
        on_trial: Called with the row of each trial that has ended.
        say: Called with messages for the user.
        data_dir: Folder of prepared TensorFlow Datasets.

    Returns:
        The trials of each arm.

    Raises:
        ValueError: As for `tune`, or if the chief cannot listen on the address, or a time is too short.
        Lost: If there was no worker for too long.
    """
    _check_timeout(chief_timeout)
    if not worker_timeout >= 2 * HEARTBEAT:  # as for NaN, with which it would wait for ever
        raise ValueError(
            f"`worker_timeout` must be at least {2 * HEARTBEAT:.0f} s. Received: worker_timeout={worker_timeout!r}"
        )
    versions.commit()  # of the code that runs, whatever is committed meanwhile
    host, port = _split(address, len(search.arms))
    dataset = search.load(data_dir)
    check(search, dataset)
    trials = {}
    with search_folder(search, out, dataset):
        token = _token(out)
        files.write_json(out / "arms.json", list(search.arms))
        for i, arm in enumerate(search.arms):
            hypermodel, folder = search.hypermodel(arm, dataset), out / arm
            with _role("chief", host, port + i):
                tuner = make_tuner(search, hypermodel, folder, lambda *_: None)
            tuner.oracle.finished = lambda trial, m=hypermodel, f=folder: on_trial(keep(f, m, trial))
            tuner.save()
            say(f"{arm}: waiting for workers at {host}:{port + i}")
            _serve(tuner.oracle, f"{host}:{port + i}", f"{token}-{arm}", worker_timeout, chief_timeout, say)
            trials[arm] = finish(search, hypermodel, folder, tuner.oracle)
    return trials


def _serve(
    oracle: keras_tuner.Oracle,
    address: str,
    token: str,
    worker_timeout: float,
    chief_timeout: float,
    say: Callable[[str], None],
) -> None:
    server, servicer = internals.make_server(oracle, token)
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise ValueError(f"Cannot listen on {address}: {error}. Is another chief running there?") from error
    server.start()
    alone_since = time.monotonic()
    try:
        while not (_over(oracle, servicer.stop_triggered) and not oracle.tuner_ids):
            time.sleep(0.2)
            for worker in oracle.drop_silent(worker_timeout):
                say(f"The worker {worker} has not been heard of for {worker_timeout:.0f} s; its trial goes to another")
            if oracle.tuner_ids:
                alone_since = time.monotonic()
            elif _over(oracle, True) and oracle.end_order and not oracle.remaining_trials():
                break  # all trials ended in an earlier call: no worker is needed
            if time.monotonic() - alone_since > chief_timeout:
                raise Lost(
                    f"No worker has been heard of for {chief_timeout:.0f} s; {len(oracle.end_order)} trials have "
                    "ended. Start the chief and workers again to resume"
                )
    finally:
        server.stop(grace=1.0).wait()


def _check_timeout(chief_timeout: float) -> None:
    if not chief_timeout > 0:  # as for NaN, with which it would wait for ever
        raise ValueError(f"`chief_timeout` must be above 0 s. Received: chief_timeout={chief_timeout!r}")


def _over(oracle: keras_tuner.Oracle, stopped: bool) -> bool:
    """Return whether no trial is running or waiting, and none will be created."""
    return stopped and not oracle.ongoing_trials and not internals.retry_queue(oracle)


def worker(
    out: Path,
    address: str,
    name: str,
    progress: Progress,
    *,
    chief_timeout: float = 1800.0,
    data_dir: str | None = None,
) -> None:
    """Run trials for a chief until there are none left.

    Args:
        out: The shared folder, from which the search is read.
        address: The chief's `"HOST:PORT"`.
        name: A unique name.
        progress: Called with an arm and trial, the epochs done, the total and a note.
        chief_timeout: Seconds to wait for the chief. Defaults to `1800`.
        data_dir: Folder of prepared TensorFlow Datasets.

    Raises:
        ValueError: If the folder holds no search, the data are not the chief's, the name is a chief's, or
            `chief_timeout` is not positive.
        Lost: If the chief could not be reached for too long.
    """
    import grpc

    _check_timeout(chief_timeout)
    if "chief" in name:
        raise ValueError(f"A worker's name must not contain 'chief'. Received: {name}")
    search = _read(out, chief_timeout)
    dataset = search.load(data_dir)
    _check_data(out, dataset)
    host, port = _split(address, len(search.arms))
    for i, arm in enumerate(search.arms):

        def report(stage: str, done: int, total: int, note: str, arm: str = arm) -> None:
            progress(f"{arm} trial {stage}", done, total, note)

        hypermodel, folder = search.hypermodel(arm, dataset), out / arm
        try:
            with _role(name, host, port + i), internals.client_with(f"{_token(out)}-{arm}", chief_timeout):
                tuner = make_tuner(search, hypermodel, folder, report)
                with _heartbeat(tuner):
                    run_trials(tuner, search, dataset, folder)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise ValueError(
                    f"The chief at {host}:{port + i} does not search {arm} in {out}: it uses another folder, or was "
                    "restarted for other arms. Restart this worker"
                ) from error
            raise Lost(
                f"The chief at {host}:{port + i} did not answer for {chief_timeout:.0f} s ({error.code().name}). "
                "Restart it, and then this worker"
            ) from error


def _read(out: Path, chief_timeout: float) -> Search:
    """Wait until the chief has written the search, and read it."""
    end = time.monotonic() + chief_timeout
    while not (out / "arms.json").exists():
        if time.monotonic() > end:
            raise Lost(f"No chief has begun a search in {out} within {chief_timeout:.0f} s")
        time.sleep(0.5)
    settings = files.read_json(out / "search.json")
    settings = {key: value for key, value in settings.items() if not key.endswith("fingerprint")}
    return search_of({**settings, "arms": files.read_json(out / "arms.json")}, str(out / "search.json"))


def _check_data(out: Path, dataset: Dataset) -> None:
    """Raise a ValueError unless this machine has the data of the search: trials on others would compete with it."""
    settings = files.read_json(out / "search.json")
    here = {"fingerprint": dataset.fingerprint, "held_out_fingerprint": dataset.held_out_fingerprint}
    there = {key: settings.get(key, own) for key, own in here.items()}  # older folders lack the second
    if changes := differences(there, here):
        raise ValueError(
            f"The data {settings['data']!r} of this machine are not those of the search in {out}: {changes}. Copy the "
            "chief's data to this machine, and start this worker again"
        )


@contextmanager
def _heartbeat(tuner: keras_tuner.Tuner) -> Iterator[None]:
    """Ask the chief for the running trial from time to time, so that long epochs do not count as silence."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT):
            if tuner.running is not None:
                with suppress(Exception):  # the search itself reports a chief that is gone
                    tuner.oracle.get_trial(tuner.running)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(HEARTBEAT)  # with a limit: its last request may wait for a chief that has ended


@contextmanager
def _role(name: str, host: str, port: int) -> Iterator[None]:
    """Set the environment variables from which KerasTuner reads this process's role."""
    role = {"KERASTUNER_TUNER_ID": name, "KERASTUNER_ORACLE_IP": host, "KERASTUNER_ORACLE_PORT": str(port)}
    before = {key: os.environ.get(key) for key in role}
    os.environ.update(role)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def _token(out: Path) -> str:
    """Return the token of all requests to the chief; the first call creates it, readable only by this user."""
    file = out / "token"
    with suppress(FileExistsError):
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as opened:
            opened.write(secrets.token_hex(32))
    token = file.read_text().strip()
    if not token:
        raise ValueError(f"{file} is empty. Delete it, and start the chief and the workers again")
    return token


def _split(address: str, arms: int = 1) -> tuple[str, int]:
    """Return host and port of an address; each arm uses its own port, counted from there."""
    host, _, port = address.rpartition(":")
    host = "127.0.0.1" if address == port else host  # only a port: only this machine
    if not host or not port.isdigit() or not 0 < int(port) <= 65_536 - arms:
        raise ValueError(
            f"Expected an address HOST:PORT, such as 127.0.0.1:8000, or a port on this machine, with {arms} ports from "
            f"there on. Received: {address}"
        )
    return host, int(port)
