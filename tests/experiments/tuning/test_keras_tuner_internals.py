"""The private parts of KerasTuner that are relied on: each test names what breaks where one is gone."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)
kt = pytest.importorskip("keras_tuner")
import grpc  # noqa: E402

from keras_twoarg.experiments.tuning import cluster, oracles  # noqa: E402
from keras_twoarg.experiments.tuning import keras_tuner_internals as internals  # noqa: E402


def oracle(tuner="random", trials=4):
    new = oracles.make_oracle(tuner, trials, 1, seed=0)
    hp = kt.HyperParameters()
    hp.Choice("rate", [1, 2, 3, 4])
    new.update_space(hp)
    new.save = new._save_trial = lambda *_: None
    return new


def test_without_the_retry_queue_a_lost_workers_trial_is_not_run_again():
    first = oracle()
    first.create_trial("dies")
    first.last_heard()["dies"] -= 60
    first.drop_silent(30)
    assert internals.retry_queue(first) == ["0"] and first.create_trial("lives").trial_id == "0"


def test_without_the_grids_order_a_stopped_grid_cannot_be_resumed():
    first, again = oracle("grid"), oracle("grid")
    for _ in range(2):
        trial = first.create_trial("one")
        trial.status = "COMPLETED"
        first.update_trial(trial.trial_id, {oracles.OBJECTIVE: 0.5})
        first.end_trial(trial)
    state = internals.grid_order(first)
    assert state["ordered"] == ["0", "1"]
    internals.restore_grid_order(again, state)
    assert internals.grid_order(again) == state


def test_without_the_files_names_state_is_written_elsewhere(tmp_path):
    first = oracle()
    first._set_project_dir(str(tmp_path), "search")
    assert internals.oracle_file(first).endswith("search/oracle.json")
    assert internals.trial_folder(first, "3").endswith("search/trial_3")


def test_without_the_gaussian_process_a_bayesian_search_is_random():
    first = oracle("bayesian")
    for score in (0.1, 0.9):
        trial = first.create_trial("one")
        trial.status = "COMPLETED"
        first.update_trial(trial.trial_id, {oracles.OBJECTIVE: score})
        first.end_trial(trial)
        assert not internals.is_new(first, trial.hyperparameters.values)
    assert {values["rate"] for values in internals.guided_values(first)} == {1, 2, 3, 4}
    assert internals.is_new(first, internals.random_values(first)["values"])


def test_without_the_silenced_print_conditions_clutter_the_output(capsys):
    from keras_tuner.src.engine import conditions

    condition = conditions.Parent("depth", [2, 3])
    conditions.Condition.from_proto(condition.to_proto())
    assert capsys.readouterr().out == ""


@pytest.fixture
def served():
    first = oracle()
    server, _ = internals.make_server(first, "right")
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield first, f"127.0.0.1:{port}"
    server.stop(0).wait()


def client(address, token, own, timeout=60.0):
    from keras_tuner.src.distribute.oracle_client import OracleClient

    host, port = address.split(":")
    with cluster._role("worker", host, int(port)):
        if token is None:
            return OracleClient(own)
        with internals.client_with(token, timeout):
            return OracleClient(own)


@pytest.mark.parametrize("token", [None, "", "wrong"])
def test_a_client_without_the_token_is_refused_and_takes_no_trial(token, served):
    chief, address = served
    stranger = client(address, token, chief)
    requests = [
        lambda: stranger.create_trial("stranger"),
        stranger.get_space,
        lambda: stranger.get_trial("0"),
        lambda: stranger.update_trial("0", {oracles.OBJECTIVE: 0.999}),
    ]
    for request in requests:
        with pytest.raises(grpc.RpcError) as refused:
            request()
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert not chief.trials and not chief.tuner_ids


def test_a_client_with_the_token_gets_trials(served):
    chief, address = served
    worker = client(address, "right", chief)
    assert worker.create_trial("worker").trial_id == "0" and set(chief.trials) == {"0"}


DIES = """
import os, sys, grpc
from concurrent.futures import ThreadPoolExecutor

class Dies(grpc.GenericRpcHandler):
    def service(self, details):
        os._exit(1)

server = grpc.server(ThreadPoolExecutor(1), handlers=[Dies()])
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""


def test_without_a_retry_a_chief_that_is_killed_while_it_answers_ends_its_worker():
    killed = subprocess.Popen([sys.executable, "-c", DIES], stdout=subprocess.PIPE, text=True)
    first, address = oracle(), f"127.0.0.1:{killed.stdout.readline().strip()}"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client(address, "right", first).create_trial, "worker")
        assert killed.wait(timeout=60) == 1  # while it had the request
        killed.stdout.close()
        again, _ = internals.make_server(first, "right")
        again.add_insecure_port(address)
        again.start()
        assert asked.result(timeout=60).trial_id == "0"
        again.stop(0).wait()


def test_requests_that_arrive_twice_count_once(served):
    chief, address = served
    worker = client(address, "right", chief)
    trial = [worker.create_trial("worker") for _ in range(2)][1]
    trial.status = "COMPLETED"
    for _ in range(2):
        worker.update_trial(trial.trial_id, {oracles.OBJECTIVE: 0.5})
    for _ in range(2):
        worker.end_trial(trial)
    assert chief.start_order == chief.end_order == ["0"]
    assert not chief.ongoing_trials and not internals.retry_queue(chief)


def test_a_request_that_nobody_answers_fails_in_time():
    began, gone = time.monotonic(), client("127.0.0.1:9", "right", oracle(), timeout=1.0)
    with pytest.raises(grpc.RpcError):
        gone.get_space()
    assert time.monotonic() - began < 20


def test_the_token_is_random_stays_and_is_the_users_alone(tmp_path):
    (tmp_path / "other").mkdir()
    token = cluster._token(tmp_path)
    assert len(token) == 64 and cluster._token(tmp_path) == token != cluster._token(tmp_path / "other")
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    (tmp_path / "token").write_text("")
    with pytest.raises(ValueError, match="token is empty"):
        cluster._token(tmp_path)


def test_a_port_alone_is_this_machines():
    assert cluster._split("8000") == ("127.0.0.1", 8000) and cluster._split("0.0.0.0:8000") == ("0.0.0.0", 8000)
    with pytest.raises(ValueError, match="with 2 ports from there on"):
        cluster._split("127.0.0.1:65535", arms=2)  # the second arm's would be 65536
