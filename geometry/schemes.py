"""Landmark schemes as data: how many points, which are mirror images, which normalise an error.

A scheme is the only place that knows what an index means. Names say *subject's* right and left; the subject's right eye
is on the left of the picture. A user's own scheme is a JSON file with the same field names (`load_scheme`), no code.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class LandmarkScheme:
    """What the indices of a set of landmarks mean; every index is 0-based.

    Fields that a scheme cannot fill stay empty or None; who needs one says so in one sentence.
    """

    name: str
    num_points: int
    flip_pairs: tuple[tuple[int, int], ...] = ()  # mirror partners; unlisted points map to themselves
    outline: tuple[int, ...] = ()  # jaw line; the rest counts as "inner"
    right_eye_corners: tuple[int, int] | None = None  # (outer, inner), subject's right
    left_eye_corners: tuple[int, int] | None = None  # (outer, inner), subject's left
    pupils: tuple[int, int] | None = None  # right, left, where they are annotated
    chin: int | None = None
    five_points: tuple[
        tuple[int, ...], ...
    ] = ()  # right eye, left eye, nose tip, right and left mouth corner, each a mean
    contours: tuple[tuple[int, ...], ...] = ()  # polylines for drawing; closed where first == last
    source: str = ""

    def __post_init__(self) -> None:
        used = [i for pair in self.flip_pairs for i in pair]
        if len(used) != len(set(used)):
            raise ValueError(f"scheme {self.name}: a point stands in two flip pairs")
        referenced = [*used, *self.outline, *(i for contour in self.contours for i in contour)]
        referenced += [i for group in self.five_points for i in group]
        for pair in (self.right_eye_corners, self.left_eye_corners, self.pupils):
            referenced += list(pair or ())
        if self.chin is not None:
            referenced.append(self.chin)
        if any(not 0 <= i < self.num_points for i in referenced):
            raise ValueError(f"scheme {self.name}: an index is outside 0..{self.num_points - 1}")

    @property
    def flip_permutation(self) -> np.ndarray:
        """(num_points,) int64 p such that mirrored_landmarks = landmarks[p] after x → width − x; an involution."""
        permutation = np.arange(self.num_points)
        for a, b in self.flip_pairs:
            permutation[a], permutation[b] = b, a
        return permutation

    @property
    def inner(self) -> tuple[int, ...]:
        """Indices that are not on the outline."""
        outline = set(self.outline)
        return tuple(i for i in range(self.num_points) if i not in outline)

    @property
    def outer_eye_corners(self) -> tuple[int, int] | None:
        """(right, left) outer eye corners, or None."""
        if self.right_eye_corners is None or self.left_eye_corners is None:
            return None
        return self.right_eye_corners[0], self.left_eye_corners[0]


def _span(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


def _mirror(first: int, last: int) -> tuple[tuple[int, int], ...]:
    """Pairs (first, last), (first+1, last−1), … of a symmetric run."""
    return tuple((i, first + last - i) for i in range(first, (first + last + 1) // 2))


IBUG_68 = LandmarkScheme(
    name="ibug68",
    num_points=68,
    flip_pairs=(
        *_mirror(0, 16),
        *_mirror(17, 26),
        (31, 35),
        (32, 34),
        (36, 45),
        (37, 44),
        (38, 43),
        (39, 42),
        (40, 47),
        (41, 46),
        (48, 54),
        (49, 53),
        (50, 52),
        (55, 59),
        (56, 58),
        (60, 64),
        (61, 63),
        (65, 67),
    ),
    outline=_span(0, 16),
    right_eye_corners=(36, 39),
    left_eye_corners=(45, 42),
    chin=8,
    five_points=(_span(36, 41), _span(42, 47), (30,), (48,), (54,)),
    contours=(
        _span(0, 16),
        _span(17, 21),
        _span(22, 26),
        _span(27, 30),
        _span(31, 35),
        (*_span(36, 41), 36),
        (*_span(42, 47), 42),
        (*_span(48, 59), 48),
        (*_span(60, 67), 60),
    ),
    source="300-W, iBUG 68-point mark-up",
)

# Deep3D, SFace and ArcFace take an eye's centre as the mean of its two corners, which blinking does not move; the
# scheme's own five points take the mean of the six points around it, as the 300-W crops do. Order: eye on the left of
# the picture first.
FIVE_OF_68 = ((36, 39), (42, 45), (30,), (48,), (54,))
NOW_LANDMARKS = (36, 39, 42, 45, 33, 48, 54)  # of the 68: eye corners, nose base, mouth corners (NoW challenge)
NOSE_AND_INNER_LIPS_68 = (
    28,
    29,
    30,
    *range(60, 68),
)  # ridge and tip of the nose, inner lips: 20 times heavier in Deep3D

# 3DFAW leaves out the two inner mouth corners (60 and 64) of the iBUG mark-up.
IBUG_68_TO_66 = np.r_[0:60, 61:64, 65:68]


def _subset(scheme: LandmarkScheme, name: str, indices: np.ndarray, source: str) -> LandmarkScheme:
    """The same mark-up with some points left out."""
    new = {int(old): i for i, old in enumerate(indices)}

    def keep(run: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(new[i] for i in run if i in new)

    return LandmarkScheme(
        name=name,
        num_points=len(indices),
        flip_pairs=tuple((new[a], new[b]) for a, b in scheme.flip_pairs if a in new and b in new),
        outline=keep(scheme.outline),
        right_eye_corners=keep(scheme.right_eye_corners) or None,
        left_eye_corners=keep(scheme.left_eye_corners) or None,
        chin=new.get(scheme.chin),
        five_points=tuple(keep(group) for group in scheme.five_points),
        contours=tuple(keep(contour) for contour in scheme.contours),
        source=source,
    )


FAW_66 = _subset(IBUG_68, "3dfaw66", IBUG_68_TO_66, "3DFAW: iBUG 68 without points 60 and 64")

WFLW_98 = LandmarkScheme(
    name="wflw98",
    num_points=98,
    flip_pairs=(
        *_mirror(0, 32),
        (33, 46),
        (34, 45),
        (35, 44),
        (36, 43),
        (37, 42),
        (38, 50),
        (39, 49),
        (40, 48),
        (41, 47),
        (55, 59),
        (56, 58),
        (60, 72),
        (61, 71),
        (62, 70),
        (63, 69),
        (64, 68),
        (65, 75),
        (66, 74),
        (67, 73),
        (96, 97),
        (76, 82),
        (77, 81),
        (78, 80),
        (83, 87),
        (84, 86),
        (88, 92),
        (89, 91),
        (93, 95),
    ),
    outline=_span(0, 32),
    right_eye_corners=(60, 64),
    left_eye_corners=(72, 68),
    pupils=(96, 97),
    chin=16,
    five_points=((96,), (97,), (54,), (76,), (82,)),
    contours=(
        _span(0, 32),
        (*_span(33, 41), 33),
        (*_span(42, 50), 42),
        _span(51, 54),
        _span(55, 59),
        (*_span(60, 67), 60),
        (*_span(68, 75), 68),
        (*_span(76, 87), 76),
        (*_span(88, 95), 88),
        (96,),
        (97,),
    ),
    source="WFLW 98-point mark-up",
)

MENPO_84 = LandmarkScheme(
    name="menpo84",
    num_points=84,
    flip_pairs=(
        *_mirror(0, 32),
        (33, 42),
        (34, 41),
        (35, 40),
        (36, 39),
        (37, 38),
        (47, 51),
        (48, 50),
        (52, 61),
        (53, 60),
        (54, 59),
        (55, 58),
        (56, 63),
        (57, 62),
        (64, 70),
        (65, 69),
        (66, 68),
        (71, 75),
        (72, 74),
        (76, 80),
        (77, 79),
        (81, 83),
    ),
    outline=_span(0, 32),
    right_eye_corners=(52, 55),
    left_eye_corners=(61, 58),
    chin=16,
    five_points=(_span(52, 57), _span(58, 63), (46,), (64,), (70,)),
    contours=(
        _span(0, 32),
        _span(33, 37),
        _span(38, 42),
        _span(43, 46),
        _span(47, 51),
        (*_span(52, 57), 52),
        (*_span(58, 63), 58),
        (*_span(64, 75), 64),
        (*_span(76, 83), 76),
    ),
    source="Menpo 3D 84-point mark-up",
)

AFLW_21 = LandmarkScheme(
    name="aflw21",
    num_points=21,
    flip_pairs=((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9), (12, 16), (13, 15), (17, 19)),
    right_eye_corners=(6, 8),
    left_eye_corners=(11, 9),
    pupils=(7, 10),
    chin=20,
    five_points=((7,), (10,), (14,), (17,), (19,)),
    contours=((0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11), (13, 14, 15), (17, 18, 19)),
    source="AFLW 21-point mark-up",
)

AFLW_19 = LandmarkScheme(
    name="aflw19",
    num_points=19,
    flip_pairs=((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9), (12, 14), (15, 17)),
    right_eye_corners=(6, 8),
    left_eye_corners=(11, 9),
    pupils=(7, 10),
    chin=18,
    five_points=((7,), (10,), (13,), (15,), (17,)),
    contours=((0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11), (12, 13, 14), (15, 16, 17)),
    source="AFLW without the ears",
)

FIVE = LandmarkScheme(
    name="five",
    num_points=5,
    flip_pairs=((0, 1), (3, 4)),
    pupils=(0, 1),
    five_points=((0,), (1,), (2,), (3,), (4,)),
    contours=((0,), (1,), (2,), (3, 4)),
    source="eye centres, nose tip, mouth corners",
)

SCHEMES: dict[str, LandmarkScheme] = {
    scheme.name: scheme for scheme in (FIVE, AFLW_19, AFLW_21, FAW_66, IBUG_68, MENPO_84, WFLW_98)
}

# 98 → 68: every second jaw point, the upper brow lines, nose, eyes without the lid centres, mouth.
WFLW_98_TO_IBUG_68 = np.r_[0:33:2, 33:38, 42:47, 51:60, [60, 61, 63, 64, 65, 67], [68, 69, 71, 72, 73, 75], 76:96]


def get_scheme(scheme: "str | Path | LandmarkScheme") -> LandmarkScheme:
    """A scheme by its name, by the path of a JSON file, or itself.

    Raises: ValueError with the known names.
    """
    if isinstance(scheme, LandmarkScheme):
        return scheme
    if str(scheme) in SCHEMES:
        return SCHEMES[str(scheme)]
    if str(scheme).endswith(".json"):
        return load_scheme(Path(scheme))
    raise ValueError(f"unknown landmark scheme '{scheme}'; known: {', '.join(SCHEMES)}, or give a .json file")


def generic_scheme(num_points: int) -> LandmarkScheme:
    """The built-in scheme with that many points, else one that knows no mirror pairs, outline or eyes."""
    for scheme in SCHEMES.values():
        if scheme.num_points == num_points:
            return scheme
    return LandmarkScheme(name=f"generic{num_points}", num_points=num_points)


def _as_tuples(value: object) -> object:
    return tuple(_as_tuples(item) for item in value) if isinstance(value, list) else value


def scheme_from_dict(fields: dict) -> LandmarkScheme:
    """Inverse of `scheme_to_dict`. Raises: ValueError for unknown or missing fields."""
    try:
        return LandmarkScheme(**{key: _as_tuples(value) for key, value in fields.items()})
    except TypeError as error:
        raise ValueError(f"not a landmark scheme: {error}") from None


def scheme_to_dict(scheme: LandmarkScheme) -> dict:
    """JSON-ready fields of a scheme."""
    return asdict(scheme)


def load_scheme(path: Path) -> LandmarkScheme:
    """Read a scheme from a JSON file with the field names of `LandmarkScheme`.

    Raises: ValueError naming the file when it is missing or not a scheme.
    """
    try:
        return scheme_from_dict(json.loads(Path(path).read_text()))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot read a landmark scheme ({error})") from None
