"""Attacks against closed forms."""

import contextlib
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_twoarg import models, set_evaluation
from keras_twoarg.experiments import robustness
from keras_twoarg.experiments.robustness import attacks

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)
pytest.importorskip("scipy")


SHAPE = (4, 4, 1)


def linear(classes=10, softmax=False):
    """A linear classifier of pixels, and its weights and bias for them."""
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(classes)])
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(16, classes)), 0.1 * rng.normal(size=classes)
    model.set_weights([kernel, bias])
    if softmax:
        model.add(keras.layers.Softmax())
    return model, kernel, bias


def points(model, number=120):
    """Images far from black and white, with the model's own answers as labels."""
    x = np.random.default_rng(1).uniform(0.35, 0.65, (number, *SHAPE)).astype("float32")
    return x, keras.ops.convert_to_numpy(model(x)).argmax(-1)


def margin(x, y, kernel, bias, p_norm):
    """The distance from each image to the nearest plane behind which another class is."""
    logits = x.reshape(len(x), -1) @ kernel + bias
    differences = kernel[:, y].T[:, :, None] - kernel[None]
    lengths = np.abs(differences).sum(1) if p_norm == "Linf" else np.sqrt((differences**2).sum(1))
    gaps = logits[np.arange(len(x)), y][:, None] - logits
    lengths[np.arange(len(x)), y] = 1
    gaps[np.arange(len(x)), y] = np.inf
    return (gaps / lengths).min(-1)


@pytest.mark.parametrize("p_norm", ["Linf", "L2"])
@pytest.mark.parametrize("softmax", [False, True])
def test_a_linear_model_is_as_robust_as_its_planes_are_far(p_norm, softmax):
    pytest.importorskip("pyautoattack")
    model, kernel, bias = linear(softmax=softmax)
    x, y = points(model)
    far = margin(x, y, kernel, bias, p_norm)
    eps = float(np.median(far))
    clear = np.abs(far / eps - 1) > 0.02
    names = ("apgd-ce", "apgd-t", "fab-t") if p_norm == "L2" or softmax else robustness.AUTOATTACK
    attacked = robustness.attack(model, x, y, eps, names, p_norm=p_norm, bounds=(0, 1))
    np.testing.assert_array_equal(attacked.robust[clear], (far > eps)[clear])
    assert 0.1 < attacked.robust.mean() < 0.9 and attacked.accuracy["clean"] == 1.0
    steps = [attacked.accuracy[name] for name in names]
    assert steps == sorted(steps, reverse=True)


def test_what_few_classes_leave_out_of_autoattack_is_told_once_and_does_not_count_as_missing():
    model, *_ = linear(classes=3)
    x, y = points(model)
    attacked = robustness.attack(model, x, y, 0.1, ("fgsm", "apgd-t"), bounds=(0, 1))
    assert attacked.accuracy["apgd-t"] == attacked.accuracy["clean"] == 1 > attacked.accuracy["fgsm"]
    del attacked.accuracy["apgd-t"]  # as earlier versions left it
    again = robustness.attack(model, x, y, 0.1, ("apgd-t",), bounds=(0, 1), before=attacked)
    assert again.accuracy["apgd-t"] == 1
    assert len([text for text in again.warnings if "apgd-t was not run" in text]) == 1


def test_autoattack_does_not_depend_on_separate_attacks_before_it(monkeypatch):
    class HalfSuccessful:
        """A part of AutoAttack, in NumPy instead of torch, that breaks every second of the images that are left."""

        def run_standard_evaluation(self, images, labels, batch_size):
            moved = np.where(np.arange(len(images))[:, None, None, None] % 2, images, np.moveaxis(broken, -1, 1))
            return SimpleNamespace(numpy=lambda: moved), labels

    torch = SimpleNamespace(from_numpy=np.asarray, get_num_threads=lambda: 1, set_num_threads=lambda _: None)
    monkeypatch.setattr(attacks, "_torch", lambda: torch)
    monkeypatch.setattr(attacks._Target, "_runner", lambda self, name: HalfSuccessful())
    model, *_ = linear()
    x, y = (np.repeat(each, 8, axis=0) for each in points(model, 1))
    broken = robustness.attack(model, x, y, 0.3, ("fgsm",), bounds=(0, 1)).images[:1]
    attacked = robustness.attack(model, x, y, 0.3, ("fgsm", "apgd-ce", "fab-t"), bounds=(0, 1))
    assert list(attacked.accuracy.values()) == [1, 0, 0.5, 0.25]
    assert attacked.left.mean() == 0.25 and not attacked.robust.any()


def test_fgsm_on_two_classes_is_exact_and_pgd_no_weaker_on_many():
    model, kernel, bias = linear(classes=2)
    x, y = points(model)
    far = margin(x, y, kernel, bias, "Linf")
    eps = float(np.median(far))
    attacked = robustness.attack(model, x, y, eps, ("fgsm",), bounds=(0, 1))
    clear = np.abs(far / eps - 1) > 0.02
    np.testing.assert_array_equal(attacked.robust[clear], (far > eps)[clear])
    assert "2 classes" in attacked.warnings[0]
    model, kernel, bias = linear()
    x, y = points(model)
    eps = float(np.median(margin(x, y, kernel, bias, "Linf")))
    attacked = robustness.attack(model, x, y, eps, ("fgsm", "pgd"), bounds=(0, 1))
    assert attacked.accuracy["pgd"] <= attacked.accuracy["fgsm"] < 1


@pytest.mark.parametrize("end", [(), [keras.layers.Softmax()]], ids=["logits", "softmax"])
def test_a_network_for_images_of_any_size_is_attacked(end):
    layers = [keras.Input((None, None, 1)), keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([*layers, keras.layers.Dense(3), *end])
    x, y = points(model, 10)
    assert robustness.attack(model, x, y, 1e-6, ["fgsm"], bounds=(0, 1)).accuracy["clean"] == 1
    with pytest.raises(ValueError, match="Expected images .N, None, None, 1.. Received: .10, 4, 4, 2"):
        robustness.attack(model, x.repeat(2, -1), y, 1e-6, ["fgsm"], bounds=(0, 1))


def test_bounds_measure_the_perturbation_in_pixels():
    pytest.importorskip("pyautoattack")
    model, kernel, bias = linear()
    scaled, *_ = linear()
    scaled.set_weights([kernel / 2, bias + kernel.sum(0) / 2])  # takes images within [-1, 1]
    x, y = points(model)
    eps = float(np.median(margin(x, y, kernel, bias, "Linf")))
    first = robustness.attack(model, x, y, eps, ("apgd-ce",), bounds=(0, 1))
    second = robustness.attack(scaled, x, y, eps, ("apgd-ce",), bounds=(-1, 1))
    np.testing.assert_array_equal(first.robust, second.robust)
    assert 0 < first.robust.mean() < 1


def test_a_dropout_network_is_attacked_in_inference_mode_and_goes_on_where_it_was():
    pytest.importorskip("pyautoattack")
    model = models.mlp(SHAPE, 10, widths=(8,), dropout=0.5, seed=0)
    x, _ = points(linear()[0])
    y = keras.ops.convert_to_numpy(model(2 * x - 1)).argmax(-1)
    whole = robustness.attack(model, x, y, 0.05, ("apgd-ce", "apgd-t"))
    half = robustness.attack(model, x, y[:, None].astype("uint8"), 0.05, ("apgd-ce",))
    seen = []
    resumed = robustness.attack(
        model,
        x,
        np.eye(10)[y],
        0.05,
        ("apgd-ce", "apgd-t"),
        before=half,
        on_attack=lambda a: seen.append(list(a.accuracy)),
    )
    assert resumed.accuracy == whole.accuracy and seen == [["clean", "apgd-ce", "apgd-t"]]
    np.testing.assert_array_equal(resumed.images, whole.images)
    assert np.abs(whole.images - x).max() <= 0.05 + 1e-6 and not whole.robust.all()


def test_a_table_of_phi_hides_no_gradient():
    pytest.importorskip("pyautoattack")
    model = models.mlp(SHAPE, 10, widths=(16,), seed=0)
    x, _ = points(linear()[0])
    y = keras.ops.convert_to_numpy(model(2 * x - 1)).argmax(-1)
    exact = robustness.attack(model, x, y, 0.02, ("apgd-ce", "apgd-t"))
    set_evaluation(model, "interpolated")
    table = robustness.attack(model, x, y, 0.02, ("apgd-ce", "apgd-t"))
    assert abs(exact.accuracy["apgd-t"] - table.accuracy["apgd-t"]) <= 0.03
    assert not table.warnings and 0 < table.accuracy["apgd-t"] < 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eps": 8}, "at most 1, such as 8/255.* Received: eps=8"),
        ({"eps": 40, "p_norm": "L2"}, "L2 norm of pixels .* at most 4 for images of this size. Received: eps=40"),
        ({"x": np.full((3, *SHAPE), 3.0)}, r"within \[0, 1\].*3 to 3"),
        ({"x": np.zeros((3, 5, 5, 1))}, r"Expected images \(N, 4, 4, 1\)"),
        ({"y": np.array([0, 1, 10])}, "from 0 to 9"),
        ({"y": np.array([0, 1])}, "Expected 3 integer labels"),
        ({"y": np.array([0, 1, 0.5])}, "must be integers"),
        ({"attacks": ("deepfool",)}, "Attacks are"),
        ({"p_norm": "L1"}, "`p_norm` must be one of"),
        ({"bounds": (1, 0)}, "the lower one first"),
        (
            {"model": keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(1)])},
            "classifier's",
        ),
    ],
)
def test_mistakes_are_told(changes, message):
    arguments = {"model": linear()[0], "x": np.full((3, *SHAPE), 0.5), "y": np.zeros(3, int), "eps": 0.1, **changes}
    with pytest.raises(ValueError, match=message):
        robustness.attack(**arguments)


def test_probabilities_whose_softmax_cannot_be_found_are_refused():
    class Hidden(keras.layers.Layer):
        def call(self, x):
            return keras.ops.softmax(x)

    model, *_ = linear()
    model.add(Hidden())
    with pytest.raises(ValueError, match="probabilities.*build the model without its softmax"):
        robustness.attack(model, np.full((3, *SHAPE), 0.5), np.zeros(3, int), 0.1)


@pytest.mark.parametrize(("margin", "ends"), [(1e-6, True), (0.1, False)])
def test_what_rounding_turns_is_no_different_answer(margin, ends):
    """A classifier whose first answer is by `margin` above a tie, and all later ones by as much below."""
    answers = []

    class Classifier:
        def logits(self, pixels):
            answers.append(1)
            return np.tile(np.float32([0, margin if len(answers) == 1 else -margin]), (len(pixels), 1))

        def correct(self, pixels, labels):
            return self.logits(pixels).argmax(-1) == labels

    x, y, classifier = np.zeros((3, 2, 2, 1), "float32"), np.zeros(3, int), Classifier()
    attacked = attacks.Attacked(0.1, "Linf", classifier.correct(x, y), x)
    target = attacks._Target(classifier, x, y, attacked, 0, lambda *_: None)
    with contextlib.nullcontext() if ends else pytest.raises(RuntimeError, match="different answers"):
        target.prove()
