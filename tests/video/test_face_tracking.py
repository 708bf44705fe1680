"""Tracking: numbers are kept, lost faces are found again, empty frames are survived."""

import cv2
import numpy as np

from tests.video.squares import UNIT, DrawnFollower, face, frame
from video.tracking import REMEMBERED, FaceTracker


def test_faces_keep_their_numbers_and_lost_ones_are_found_again():
    follower = DrawnFollower()
    tracker = FaceTracker(follower, detect_every=0)
    numbers = []
    for t in range(10):
        numbers.append([f.number for f in tracker(frame((100 + 6 * t, 100), (450 - 4 * t, 250)))])
    assert numbers == [[0, 1]] * 10 and follower.searches == 1
    assert [f.number for f in tracker(frame((160, 100)))] == [0]  # the second face has left
    for _ in range(5):
        assert tracker(frame()) == []  # nobody there
    (back,) = tracker(frame((300, 300), seeds=[7]))
    assert back.number == 2 and np.abs(back.face.landmarks[:, :2].mean(0) - [300, 300]).max() < 12


def test_new_faces_are_found_at_the_next_detection():
    tracker = FaceTracker(DrawnFollower(), detect_every=4)
    counts = [len(tracker(frame((100, 100)) if t < 2 else frame((100, 100), (400, 200)))) for t in range(6)]
    assert counts == [1, 1, 1, 1, 2, 2]


def test_a_face_that_vanished_is_lost_although_the_network_still_answers():
    """Without a second head, a network gives a steady face on an empty frame; the picture tells that it has gone."""

    class Stubborn(DrawnFollower):
        def predict_crops(self, images, crops):
            return [face(c, c.invert(np.column_stack([60 + UNIT[:, :2] * 85, UNIT[:, 2] * 85]))) for c in crops]

    photo = np.random.default_rng(1).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    photo = cv2.resize(photo, (600, 400), interpolation=cv2.INTER_LINEAR) // 3
    photo[160:240, 260:340] += 130
    tracker = FaceTracker(Stubborn(), detect_every=0)
    assert [f.number for f in tracker(photo)] == [0] and [f.number for f in tracker(np.roll(photo, 3, axis=1))] == [0]
    assert tracker(np.full_like(photo, 60)) == [] and tracker(np.full_like(photo, 60)) == []
    assert [f.number for f in tracker(photo)] == [0], "it is the same one that comes back"


def test_a_cut_to_another_face_at_the_same_place_gives_another_number():
    follower = DrawnFollower()
    tracker = FaceTracker(follower, detect_every=0)
    assert [f.number for t in range(3) for f in tracker(frame((300, 200), seeds=[0]))] == [0, 0, 0]
    assert [f.number for t in range(3) for f in tracker(frame((300, 200), seeds=[1]))] == [1, 1, 1]
    assert follower.searches == 2


def test_a_face_that_jumps_is_found_again_under_its_number():
    follower = DrawnFollower()
    tracker = FaceTracker(follower, detect_every=0)
    assert [f.number for f in tracker(frame((200, 200)))] == [0]
    assert [f.number for f in tracker(frame((330, 200)))] == [0] and follower.searches == 2


def test_who_comes_back_elsewhere_keeps_his_number_and_a_stranger_gets_another():
    tracker = FaceTracker(DrawnFollower(), detect_every=5)
    numbers = []
    for t in range(40):
        shown = frame((100, 100)) if t < 8 else frame() if t < 20 else frame((420, 250), seeds=[0 if t < 30 else 5])
        numbers.append([f.number for f in tracker(shown)])
    assert numbers[7] == numbers[20] == numbers[29] == [0] and numbers[8:20] == [[]] * 12
    assert numbers[-1] == [1]


def test_who_was_away_for_long_is_forgotten():
    tracker = FaceTracker(DrawnFollower())
    tracker(frame((100, 100)))
    for _ in range(REMEMBERED + 1):
        tracker(frame())
    assert [f.number for f in tracker(frame((420, 250)))] == [1]


def test_faces_that_pass_each_other_keep_their_numbers():
    tracker = FaceTracker(DrawnFollower(), detect_every=5)
    seen = {}
    for t in range(36):
        left, right = 100 + 10 * t, 480 - 10 * t
        seeds = [3, 4] if abs(left - right) >= 80 else [4]  # one hides the other
        centres = [(left, 200), (right, 200)] if len(seeds) == 2 else [(right, 200)]
        for tracked in tracker(frame(*centres, seeds=seeds)):
            seen.setdefault(t, {})[tracked.number] = tracked.face.landmarks[:, 0].mean()
    ends = (0, 35)
    first = {number: x for number, x in seen[ends[0]].items()}
    last = {number: x for number, x in seen[ends[1]].items()}
    assert set(first) == set(last) == {0, 1}
    assert (first[0] < first[1]) == (last[0] > last[1])


def test_detection_runs_every_n_th_frame_and_reads_only_faces_that_are_new():
    follower = DrawnFollower()
    tracker = FaceTracker(follower, detect_every=5)
    for _ in range(16):
        tracker(frame((100, 100), (400, 200)))
    assert (follower.searches, follower.detections) == (4, 2)
