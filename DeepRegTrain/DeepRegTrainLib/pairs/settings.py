"""The numbers behind training pairs, field by field, with the words that a form shows for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from .ranges import Range, shown

NOTHING = Range(0.0, 0.0)


@dataclass(frozen=True)
class Framing:
    """How the lungs (or the organ) of a scan are laid into the grid of the pair.

    With a spacing that is not given, the grid covers the box around them with a random margin. With a given spacing it
    is a random block that shows as much of the box as fits.
    """

    margin_percent: Range = field(
        default=Range(5.0, 15.0), metadata=shown("Margin around the lungs on each side", "% of the box")
    )
    zoom: Range = field(default=Range(1.0, 1.0), metadata=shown("Size of the patient relative to the scan"))
    stretch: Range = field(default=Range(1.0, 1.0), metadata=shown("Further scale of each axis"))
    rotation_degrees: float = field(
        default=0.0, metadata=shown("Standard deviation of the pose about each axis", "degrees")
    )
    shape_mm: Range = field(default=NOTHING, metadata=shown("Standard deviation of a smooth change of shape", "mm"))
    mirrored: float = field(default=0.0, metadata=shown("Share of mirrored patients"))
    one_lung: float = field(default=0.0, metadata=shown("Share of pairs that show one lung only"))


@dataclass(frozen=True)
class ThinPlateMotion:
    """Eppenhof et al. 2018: displacements at 6 x 6 x 6 nodes, thin-plate splines between them.

    Ranges are in voxels of a grid of 96, scaled to other grids. ``paper_order`` makes the images in the order that is
    printed, I(offset) and I(T o offset); the label is then wrong by 16 % on average. By default they are I(offset) and
    I(offset o T), for which T is exact.
    """

    x: Range = field(default=Range(-1.0, 1.0), metadata=shown("Displacement to the left", "voxels of 96"))
    y: Range = field(default=Range(-1.0, 1.0), metadata=shown("Displacement to the back", "voxels of 96"))
    z: Range = field(default=Range(-1.0, 5.0), metadata=shown("Displacement upwards", "voxels of 96"))
    nodes: int = field(default=6, metadata=shown("Nodes along each axis"))
    offset_sd: float = field(default=0.1, metadata=shown("Standard deviation of the entries of the affine offset"))
    paper_order: bool = field(default=False, metadata=shown("Order of the transforms as printed in the paper"))
    smallest_jacobian: float = field(default=0.05, metadata=shown("Draw again below this Jacobian determinant"))


@dataclass(frozen=True)
class SplineMotion:
    """Eppenhof et al. 2020, Table I: T1 places the pair, T2 = T21 o T22 is learned; cubic B-splines with uniform
    control values, in voxels of a grid of 128, scaled to other grids.

    ``interpolating`` splines pass through the control values (gryds, which made the data of the paper); otherwise the
    values are B-spline coefficients, and displacements are 2.2 times smaller.
    """

    interpolating: bool = field(default=True, metadata=shown("Splines pass through the control values"))
    placing_nodes: int = field(default=2, metadata=shown("T1: control points along each axis"))
    placing_reach: tuple[float, float, float] = field(
        default=(6.4, 6.4, 6.4), metadata=shown("T1: largest displacement x, y, z", "voxels of 128")
    )
    coarse_nodes: int = field(default=4, metadata=shown("T2,1: control points along each axis"))
    coarse_reach: tuple[float, float, float] = field(
        default=(3.2, 6.4, 12.8), metadata=shown("T2,1: largest displacement x, y, z", "voxels of 128")
    )
    fine_nodes: int = field(default=8, metadata=shown("T2,2: control points along each axis"))
    fine_reach: tuple[float, float, float] = field(
        default=(3.2, 3.2, 3.2), metadata=shown("T2,2: largest displacement x, y, z", "voxels of 128")
    )
    smallest_jacobian: float = field(default=0.05, metadata=shown("Draw again below this Jacobian determinant"))


@dataclass(frozen=True)
class BreathingMotion:
    """Breathing in either direction, sliding along the ribs, uneven motion on several scales, another table position.

    T = table o content o chest. The content of the thoracic cavity flows up and down with the diaphragm; where it
    slides, the flow is tangential to the wall and ends there. The chest wall moves to the front and the sides.
    """

    still: float = field(default=0.12, metadata=shown("Share of pairs without breathing"))
    large: float = field(default=0.2, metadata=shown("Share of pairs with large breathing"))
    extreme: float = field(default=0.06, metadata=shown("Share of pairs with extreme breathing"))
    usual_mm: Range = field(default=Range(0.0, 34.0), metadata=shown("Motion of the diaphragm", "mm"))
    large_mm: Range = field(default=Range(34.0, 55.0), metadata=shown("Motion of the diaphragm, large", "mm"))
    extreme_mm: Range = field(default=Range(55.0, 75.0), metadata=shown("Motion of the diaphragm, extreme", "mm"))
    profile: Range = field(
        default=Range(0.8, 2.4), metadata=shown("Exponent of the profile between apex and diaphragm")
    )
    front_back: Range = field(default=Range(-0.3, 0.7), metadata=shown("Excess of the back over the front, relative"))
    left_right: Range = field(
        default=Range(-0.5, 0.5), metadata=shown("Excess of the left over the right side, relative")
    )
    chest_front: Range = field(
        default=Range(0.0, 0.3), metadata=shown("Motion of the breast bone relative to the diaphragm")
    )
    chest_front_limit_mm: float = field(default=14.0, metadata=shown("Largest motion of the breast bone", "mm"))
    chest_front_mm: Range = field(
        default=Range(-3.0, 3.0), metadata=shown("Motion of the breast bone on its own", "mm")
    )
    chest_side: Range = field(
        default=Range(0.0, 0.12), metadata=shown("Widening of the chest relative to the diaphragm")
    )
    sliding: float = field(default=0.6, metadata=shown("Share of pairs in which the content slides along the ribs"))
    attachment_mm: Range = field(
        default=Range(10.0, 40.0), metadata=shown("Depth of the chest wall that moves along where nothing slides", "mm")
    )
    uneven_spacing_mm: tuple[float, float, float] = field(
        default=(60.0, 36.0, 21.0), metadata=shown("Uneven motion: spacing of the scales", "mm")
    )
    uneven_mm: tuple[float, float, float] = field(
        default=(4.0, 2.4, 1.2), metadata=shown("Uneven motion: largest standard deviation of each scale", "mm")
    )
    chest_uneven_mm: Range = field(
        default=Range(0.0, 0.8), metadata=shown("Uneven motion of the chest wall, standard deviation", "mm")
    )
    prealigned: Range = field(
        default=Range(0.2, 1.0), metadata=shown("Share of the mean motion that the pre-alignment has removed")
    )
    table_mm: float = field(
        default=3.5, metadata=shown("Standard deviation of the shift that the pre-alignment leaves, each axis", "mm")
    )
    table_degrees: float = field(
        default=2.0, metadata=shown("Standard deviation of the turn that it leaves, each axis", "degrees")
    )
    table_scale: Range = field(default=Range(0.97, 1.03), metadata=shown("Scale between the images, each axis"))
    reduced: float = field(
        default=0.25, metadata=shown("Share of pairs with all motion reduced, as after a first pass")
    )
    smallest_jacobian: float = field(
        default=0.1, metadata=shown("Motion shrinks until the Jacobian determinant is above")
    )


@dataclass(frozen=True)
class Appearance:
    """What differs between the images beside their geometry. All zero: the fixed image is the moving one, warped."""

    mass_exponent: Range = field(
        default=NOTHING, metadata=shown("Density of the lung follows its volume: exponent (1 keeps the mass)")
    )
    regional_density: Range = field(
        default=NOTHING, metadata=shown("Standard deviation of regional changes of density, relative")
    )
    overall_density: float = field(
        default=0.0, metadata=shown("Standard deviation of the change of density of the whole lung, relative")
    )
    opacities: float = field(default=0.0, metadata=shown("Share of pairs with opacities in one image"))
    shift_hu: Range = field(default=NOTHING, metadata=shown("Shift of the grey values", "HU"))
    noise_hu: Range = field(default=NOTHING, metadata=shown("Noise", "HU"))
    grained_noise: float = field(default=0.0, metadata=shown("Share of images whose noise is grained"))
    blurred: float = field(default=0.0, metadata=shown("Share of blurred images"))
    blur_mm: Range = field(default=NOTHING, metadata=shown("Blur, standard deviation", "mm"))
    thick_slices: float = field(default=0.0, metadata=shown("Share of images with thick slices"))
    slice_mm: Range = field(default=Range(3.0, 6.0), metadata=shown("Thickness of such slices", "mm"))
    cut: float = field(default=0.0, metadata=shown("Share of images with a field of view that is cut"))
    cut_face: float = field(default=0.35, metadata=shown("How often each face is cut in those"))
    cut_mm: Range = field(default=Range(3.0, 42.0), metadata=shown("How much is cut", "mm"))
