"""What a mesh refiner sees of a batch of faces."""

from dataclasses import dataclass, fields

from torch import Tensor


@dataclass(frozen=True)
class RefinementBatch:
    """What a refiner sees and is judged by; no gradient flows into it.

    Attributes:
        features: (B, Z) of frozen networks.  vertices: (B, N, 3) the face model's shape, unposed, dm.
        rotation, translation: (B, 3, 3) and (B, 3) dm, model → camera.
        landmarks: (B, 68, 2) continuous px, y down, in the regressor's crop; NaN = unknown; None where there are none.
        truth: (B, N, 3) true shape, unposed, of synthetic faces, rows of NaN for others; None where no face has one.
    """

    features: Tensor
    vertices: Tensor
    rotation: Tensor
    translation: Tensor
    landmarks: Tensor | None = None
    truth: Tensor | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Tensor]) -> "RefinementBatch":
        """From named tensors; others than the attributes are left out. Raises: TypeError naming one that is missing."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})
