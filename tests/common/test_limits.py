"""Work that would take too much memory is refused before any is taken."""

import numpy as np
import pytest

from common.errors import DataError
from common.limits import MAX_SHOWN_PX, check_frames
from depthnet.pictures import face_square
from depthnet.warping.tasks import render_rotation


def test_frames_beyond_the_limit_name_the_remedy():
    check_frames(100, 1000, 1000, "x")
    with pytest.raises(DataError, match=r"235 frames of 4000×4000 px take 14.0 GiB.*; scale the photo down"):
        check_frames(235, 4000, 4000, "scale the photo down")


def test_turning_a_large_photo_is_refused_before_work():
    image = np.broadcast_to(np.zeros(3, np.uint8), (7000, 7000, 3))
    with pytest.raises(DataError, match="235 frames of 7000×7000 px take 42.9 GiB"):
        render_rotation(image, np.zeros((68, 2)), np.zeros(68), "y", np.zeros(235))


def test_squares_of_small_faces_keep_their_pixels_and_of_large_ones_are_scaled_down():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (300, 400, 3), np.uint8)
    small = face_square(np.array([[50.0, 60.0], [150.0, 140.0]]))
    assert small.size == 170 and small.scale == 1
    np.testing.assert_array_equal(small.extract(image), image[15:185, 15:185])
    large = face_square(np.array([[0.0, 0.0], [20_000.0, 1.0]]))
    assert large.size == MAX_SHOWN_PX
    assert large.extract(image).shape == (MAX_SHOWN_PX, MAX_SHOWN_PX, 3)
    assert np.ptp(large.apply(np.array([[0.0, 0.0], [20_000.0, 1.0]]))[:, 0]) < MAX_SHOWN_PX
