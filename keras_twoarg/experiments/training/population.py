"""Several outer networks that learn one phi together.

If one network learns phi, phi depends on that network's seed. Here N networks of the same size, with their own initial
weights, batches, dropout and optimizer, share one phi. They are trained as one model, which computes phi's table once.
All but the first are reinitialized once, one after the other, so that phi always serves both young and old networks.
The first network is trained from start to end, and is the one that is validated, tested and saved.
"""

from collections.abc import Sequence

import keras

from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.networks import build_network, make_phi
from keras_twoarg.experiments.training.optimizers import OneForEach, make_optimizer
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.utils.types import Model


class Population:
    """Networks that share one phi, as one model to train.

    Args:
        configuration: The settings, including the number of `networks`.
        input_shape: Shape of one sample.
        classes: Number of classes.
        widths: Units of each hidden layer.
        inner: phi.
        seed: Seed of the first network, from which the others follow.
        samples: Number of training samples.

    Attributes:
        first: The network that is trained from start to end.
        trainer: All networks as one model, from one batch for each to `(batch, networks, classes)`.
        optimizer: The trainer's optimizer. The first network's part of it trains phi too.
    """

    def __init__(
        self,
        configuration: Configuration,
        input_shape: Sequence[int],
        classes: int,
        widths: Sequence[int],
        inner: InnerNetwork | None,
        seed: int,
        samples: int,
    ) -> None:
        self._sizes = (configuration, input_shape, classes, widths)
        self._inner, self._seed = inner, seed
        self.networks = [self._network(i, inner) for i in range(configuration.networks)]
        self.first = self.networks[0]
        inputs = [keras.Input(network.input_shape[1:], dtype=network.inputs[0].dtype) for network in self.networks]
        outputs = [network(one) for network, one in zip(self.networks, inputs, strict=True)]
        self.trainer: Model = keras.Model(inputs, keras.ops.stack(outputs, axis=-2))
        optimizers = [
            make_optimizer(configuration, configuration.epochs, samples, None if i else inner)
            for i in range(configuration.networks)
        ]
        self.optimizer = OneForEach(optimizers, [network.trainable_variables for network in self.networks])

    def begin_anew(self, epoch: int, epochs: int) -> list[int]:
        """Reinitialize the networks whose turn it is before an epoch, counted from 1, and return their numbers.

        Network i of N is reinitialized after i N-ths of the epochs.
        """
        number = len(self.networks)
        turns = [i for i in range(1, number) if epoch == 1 + round(i * epochs / number)]
        for i in turns:
            self._begin_anew(i)
        return turns

    def _network(self, number: int, inner: InnerNetwork | None) -> Model:
        configuration, input_shape, classes, widths = self._sizes
        return build_network(configuration, input_shape, classes, widths, inner, self._seed + 100_000 * number)

    def _begin_anew(self, number: int) -> None:
        network, others = self.networks[number], len(self.networks)
        fresh = self._network(number + others, make_phi(self._sizes[0]))  # another seed than any before
        of_phi = {id(weight) for weight in (self._inner.weights if self._inner else ())}
        for old, new in zip(network.weights, fresh.weights, strict=True):
            if id(old) not in of_phi:
                old.assign(new.value)
        self.optimizer.begin_anew(number)
