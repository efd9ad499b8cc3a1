"""A real server on loopback, asked from other processes: right, wrong, many at once. Runs where MLflow is installed."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib import error, request

import keras
import numpy as np
import pytest

from keras_twoarg import models
from keras_twoarg.export import formats

pytest.importorskip("mlflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)
from tests.helpers import ROOT

MODEL = ROOT / "examples" / "mlflow_server" / "model.py"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    model = formats.servable(models.mlp((6, 6, 1), 3, widths=(8,), seed=0), softmax=True)
    formats.export(model, folder / "digits" / "1")
    subprocess.run([sys.executable, str(MODEL), str(folder / "digits" / "1"), str(folder / "served")], check=True)
    port = 20_000 + os.getpid() % 20_000
    command = ["models", "serve", "-m", str(folder / "served"), "--env-manager", "local", "--port", str(port)]
    # MLflow starts uvicorn by its name.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command], stdout=log, stderr=log, start_new_session=True, env=environment
        )
    try:
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 120
        while not answers(f"{url}/ping"):
            assert process.poll() is None and time.monotonic() < end, (folder / "log").read_text()[-2000:]
            time.sleep(0.5)
        yield model, url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)


def answers(url):
    try:
        return request.urlopen(url, timeout=5).status == 200
    except OSError:
        return False


def post(url, body, kind="application/json"):
    asked = request.Request(f"{url}/invocations", data=body.encode(), headers={"Content-Type": kind})
    try:
        with request.urlopen(asked, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_curl_gets_the_models_outputs(server, tmp_path):
    model, url = server
    x = formats.random_inputs(model, seed=1, number=5)
    (tmp_path / "request.json").write_text(json.dumps({"inputs": x.tolist()}))
    ask = ["curl", "-s", "-H", "Content-Type: application/json", "-d", f"@{tmp_path / 'request.json'}"]
    done = subprocess.run([*ask, f"{url}/invocations"], capture_output=True, text=True, timeout=60, check=True)
    probabilities = json.loads(done.stdout)["predictions"]["probabilities"]
    np.testing.assert_allclose(probabilities, keras.ops.convert_to_numpy(model(x)["probabilities"]), atol=1e-6)


WRONG = {
    "shape": (json.dumps({"inputs": [[1.0, 2.0]]}), "expected shape (None, 6, 6, 1). Received: (1, 2)"),
    "dtype": (json.dumps({"inputs": [[[["a"]] * 6] * 6]}), "expected numbers of shape"),
    "not a number": ('{"inputs": [' + json.dumps([[[0.0]] * 6] * 5 + [[[float("nan")]] * 6]) + "]}", "finite"),
    "no JSON": ("{", "JSON"),
    "another key": (json.dumps({"images": [1]}), "inputs"),
    "another input": (json.dumps({"inputs": {"wrong": [1.0]}}), "Expected the input image. Received: wrong"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_gets_an_error_and_the_server_stays_up(server, name):
    _, url = server
    body, words = WRONG[name]
    status, answer = post(url, body)
    assert 400 <= status <= 500 and words in answer
    assert post(url, json.dumps({"inputs": np.zeros((1, 6, 6, 1)).tolist()}))[0] == 200


def test_many_at_once_and_one_huge_batch(server):
    model, url = server
    batches = [formats.random_inputs(model, seed=i, number=i + 1) for i in range(16)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda x: post(url, json.dumps({"inputs": x.tolist()})), batches))
    for x, (status, answer) in zip(batches, answers, strict=True):
        assert status == 200
        expected = keras.ops.convert_to_numpy(model(x)["probabilities"])
        np.testing.assert_allclose(answer["predictions"]["probabilities"], expected, atol=1e-6)
    status, answer = post(url, json.dumps({"inputs": np.zeros((20_000, 6, 6, 1), int).tolist()}))
    assert status == 200 and len(answer["predictions"]["probabilities"]) == 20_000
