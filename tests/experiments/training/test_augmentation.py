"""Every image is one of its neighbours, mirrored or not; what comes in from outside is black."""

import numpy as np

from keras_twoarg.experiments.training.augmentation import crop_flip


def test_each_image_is_moved_by_whole_pixels_and_perhaps_mirrored():
    rng = np.random.default_rng(0)
    images = rng.uniform(-0.9, 1, (40, 9, 7, 3)).astype("float32")
    changed = crop_flip(images, rng)
    assert changed.shape == images.shape and changed.dtype == np.float32
    places = set()
    for image, other in zip(images, changed, strict=True):
        padded = np.pad(image, ((4, 4), (4, 4), (0, 0)), constant_values=-1)
        matches = [
            (down, right, mirrored)
            for down in range(9)
            for right in range(9)
            for mirrored in (False, True)
            if np.array_equal(padded[down : down + 9, right : right + 7][:, :: -1 if mirrored else 1], other)
        ]
        assert len(matches) == 1
        places |= set(matches)
    assert {mirrored for *_, mirrored in places} == {False, True} and len(places) > 25
