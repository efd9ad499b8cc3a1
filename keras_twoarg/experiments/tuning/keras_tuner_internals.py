"""All private parts of KerasTuner 1.4 that this package uses.

Its public interface cannot resume a grid, take a trial from a dead worker, or authenticate workers to a chief.
`tests/experiments/tuning/test_keras_tuner_internals.py` has a test for each part, which says what breaks without it.
"""

import hmac
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from keras_twoarg.utils.optional import optional
from keras_twoarg.utils.types import Config

if TYPE_CHECKING:
    import grpc
    import keras_tuner as keras_tuner
    from keras_tuner.src.distribute.oracle_chief import OracleServicer
else:
    keras_tuner = optional("keras_tuner", "Searches", "tuner")
optional("tensorboard", "Searches", "tuner")  # an undeclared dependency of KerasTuner

_conditions = optional("keras_tuner.src.engine.conditions", "Searches", "tuner")
# KerasTuner 1.4.8 prints the choices of each condition that comes from another process.
vars(_conditions)["print"] = lambda *values: None

STATUS = keras_tuner.engine.trial.TrialStatus
TOKEN = "twoarg-token"
"""Name of the metadata that every request to a chief must carry."""
_STARTS = 50  # of the search for the next values, as in KerasTuner


def retry_queue(oracle: keras_tuner.Oracle) -> list[str]:
    """Return the oracle's list of trials to retry, which may be modified."""
    return oracle._retry_queue


def oracle_file(oracle: keras_tuner.Oracle) -> str:
    """Return the path of an oracle's state."""
    return str(oracle._get_oracle_fname())


def trial_folder(oracle: keras_tuner.Oracle, trial_id: str) -> str:
    """Return the folder of a trial."""
    return str(oracle._get_trial_dir(trial_id))


def grid_order(oracle: keras_tuner.Oracle) -> dict[str, list[str | None]]:
    """Return the progress of a grid search: its trials in grid order, and those after which values are missing."""
    ordered, ids = oracle._ordered_ids, []
    place = ordered._next_index[None]
    while place is not None:
        ids.append(ordered._memory[place])
        place = ordered._next_index[place]
    return {"ordered": ids, "next": list(oracle._populate_next)}


def restore_grid_order(oracle: keras_tuner.Oracle, state: dict[str, list[str | None]]) -> None:
    """Restore the progress of a grid search from `grid_order`."""
    oracle._ordered_ids = type(oracle._ordered_ids)()
    for trial_id in state["ordered"]:
        oracle._ordered_ids.insert(trial_id)
    oracle._populate_next = list(state["next"])


def is_new(oracle: keras_tuner.Oracle, values: Config) -> bool:
    """Return whether no trial of an oracle has had some values."""
    return not oracle._duplicate(values)


def random_values(oracle: keras_tuner.oracles.BayesianOptimizationOracle) -> Config:
    """Return what `populate_space` returns for random values that are new, or for none after 21 tries."""
    return dict(oracle._random_populate_space())


def guided_values(oracle: keras_tuner.oracles.BayesianOptimizationOracle) -> list[Config]:
    """Return values that a Bayesian search may try next, best first.

    KerasTuner takes the best point of the unit cube, but remembers a trial at the middles of the intervals that mean
    its choices. So it never learned anything at a corner, and proposed what was there again. Here points are sought
    between the outermost places that a trial can have, and compared where trials with their values would be. They
    depend on the seed and the trials alone, while KerasTuner's also depend on whether the search was resumed.
    """
    from scipy.optimize import minimize

    oracle.gpr.fit(*(np.nan_to_num(array, posinf=0, neginf=0) for array in oracle._vectorize_trials()))

    def bound(points: np.ndarray) -> np.ndarray:
        mean, deviation = oracle.gpr.predict(points, return_std=True)
        return np.asarray(mean - oracle.beta * deviation)

    space = oracle._nonfixed_space()
    limits = np.array([[hp.value_to_prob(hp.prob_to_value(end)) for end in (0.0, 1.0)] for hp in space])
    rng = np.random.default_rng((oracle.seed, len(oracle.trials)))
    starts = rng.uniform(limits[:, 0], limits[:, 1], size=(_STARTS, len(space)))
    ends = [minimize(lambda x: bound(x[None])[0], start, bounds=limits, method="L-BFGS-B").x for start in starts]
    found = [dict(oracle._vector_to_values(point)) for point in (*ends, *starts)]
    places = [[hp.value_to_prob(values.get(hp.name, hp.default)) for hp in space] for values in found]
    return [found[i] for i in np.argsort(bound(np.array(places)))]


def make_server(oracle: keras_tuner.Oracle, token: str) -> "tuple[grpc.Server, OracleServicer]":
    """Return a gRPC server for an oracle that refuses requests without the token, and its servicer."""
    import grpc
    from keras_tuner.src import protos
    from keras_tuner.src.distribute.oracle_chief import OracleServicer

    class Guard(grpc.ServerInterceptor):
        def intercept_service(
            self, continuation: Callable[..., object], details: "grpc.HandlerCallDetails"
        ) -> "grpc.RpcMethodHandler":
            sent = dict(details.invocation_metadata).get(TOKEN, "")
            if hmac.compare_digest(str(sent).encode(), token.encode()):
                return continuation(details)
            refusal = "This chief answers only workers that have read the token in its folder"
            return grpc.unary_unary_rpc_method_handler(
                lambda _, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, refusal)
            )

    pool = futures.ThreadPoolExecutor(max_workers=1)
    server = grpc.server(pool, interceptors=[Guard()], options=[("grpc.so_reuseport", 0)])
    servicer = OracleServicer(oracle)
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)
    return server, servicer


@contextmanager
def client_with(token: str, timeout: float) -> Iterator[None]:
    """Make oracle clients created within send the token, and wait for the chief at most `timeout` seconds.

    A request that was lost with its chief is sent again; the oracle accepts each of them twice.
    """
    import grpc
    from keras_tuner.src.distribute import oracle_client

    class Sender(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(
            self, continuation: Callable[..., "grpc.Call"], details: "grpc.ClientCallDetails", request: object
        ) -> "grpc.Call":
            end = time.monotonic() + timeout
            sent = SimpleNamespace(  # gRPC reads these attributes
                method=details.method,
                timeout=timeout,
                metadata=[*(details.metadata or ()), (TOKEN, token)],
                credentials=details.credentials,
                wait_for_ready=True,
                compression=None,
            )
            # gRPC waits for a chief that is not there, but fails if it was killed after it had the request.
            while (call := continuation(sent, request)).code() is grpc.StatusCode.UNAVAILABLE:
                if (left := end - time.monotonic()) <= 0:
                    break
                time.sleep(min(left, 0.2))
                sent.timeout = left
            return call

    def channel(address: str) -> "grpc.Channel":
        return grpc.intercept_channel(grpc.insecure_channel(address), Sender())

    whole, oracle_client.grpc = oracle_client.grpc, SimpleNamespace(insecure_channel=channel)
    try:
        yield
    finally:
        oracle_client.grpc = whole
