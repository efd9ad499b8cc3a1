"""The settings of a search, declared where the command line can read them without KerasTuner."""

from dataclasses import MISSING, dataclass

from keras_twoarg.experiments.settings import setting

TUNERS = ("random", "bayesian", "hyperband", "grid")


@dataclass(frozen=True)
class SearchSettings:
    """What a search does, beside the configuration and the space; see `tuning.Search`."""

    data: str = setting(MISSING, "mnist5k, fashion_mnist, a prepared TFDS name, or an .npz.")
    arms: tuple[str, ...] = setting(MISSING, "The arms.")
    tuner: str = setting("bayesian", "How values are chosen.", choices=TUNERS)
    trials: int = setting(20, "Trials for each arm.", least=1, most=1_000_000)
    subset: int = setting(0, "Training images, drawn at random; 0 for all.", least=0)
