import numpy as np
import pytest
import torch
from monai.losses.deform import BendingEnergyLoss
from scipy.interpolate import BSpline as ScipyBSpline

from trainables.registration.bspline import BSpline, basis, control_positions

pytestmark = pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")  # within MONAI

SIZES = [(33, 21, 8), (64, 64, 16), (7, 40, 32), (30, 31, 5)]


def controls(spline: BSpline, batch: int = 2, scale: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return scale * torch.randn(batch, 2, *spline.control_size, generator=generator, dtype=torch.float64)


def scipy_field(spline: BSpline, control: np.ndarray, down: int, across: int) -> np.ndarray:
    """One component of the field by scipy's splines, first along the columns, then along the rows."""

    def along(values: np.ndarray, pixels: int, order: int) -> np.ndarray:
        positions = control_positions(pixels, spline.spacing)
        knots = positions[0] + spline.spacing * (np.arange(len(positions) + 4) - 2.0)
        curve = ScipyBSpline(knots, values, 3, extrapolate=False)
        return np.asarray((curve.derivative(order) if order else curve)(np.arange(pixels)))

    rows = along(control, spline.size[0], down)
    return along(rows.T, spline.size[1], across).T


@pytest.mark.parametrize(("height", "width", "spacing"), SIZES)
@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_weights_of_every_pixel_add_up_to_one(height, width, spacing, order):
    for pixels in (height, width):
        sums = basis(pixels, spacing, order).sum(1)
        np.testing.assert_allclose(sums, 1.0 if order == 0 else 0.0, atol=1e-12)


@pytest.mark.parametrize(("height", "width", "spacing"), SIZES)
def test_field_and_derivatives_are_those_of_scipy(height, width, spacing):
    spline = BSpline((height, width), spacing)
    control = controls(spline)
    expected = {
        (down, across): np.stack(
            [[scipy_field(spline, part, down, across) for part in sample] for sample in control.numpy()]
        )
        for down, across in [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    }
    np.testing.assert_allclose(spline.displacement(control), expected[0, 0], atol=1e-6)
    down, across = expected[1, 0], expected[0, 1]
    determinant = (1 + down[:, 0]) * (1 + across[:, 1]) - across[:, 0] * down[:, 1]
    np.testing.assert_allclose(spline.determinant(control), determinant, atol=1e-6)
    energy = expected[2, 0] ** 2 + 2 * expected[1, 1] ** 2 + expected[0, 2] ** 2
    np.testing.assert_allclose(spline.bending_energy(control), energy.mean((1, 2, 3)), atol=1e-6)


def test_gradients_are_right():
    spline = BSpline((9, 11), 4)
    control = controls(spline, 1, 0.3).requires_grad_()
    for function in (spline.displacement, spline.determinant, spline.bending_energy):
        assert torch.autograd.gradcheck(function, (control,))


def quadratic_control(spline: BSpline, curvature: np.ndarray) -> torch.Tensor:
    """Control points whose spline is a y^2 + b x y + c x^2 exactly: for t^2 they hold p^2 - spacing^2 / 3."""
    y, x = (control_positions(pixels, spline.spacing) for pixels in spline.size)
    square = [p**2 - spline.spacing**2 / 3 for p in (y, x)]
    fields = [a * square[0][:, None] + b * y[:, None] * x + c * square[1] for a, b, c in curvature]
    return torch.from_numpy(np.stack(fields)[None])


def test_bending_energy_of_a_quadratic_field_in_closed_form_and_by_monai():
    spline = BSpline((40, 32), 8)
    curvature = np.array([[0.01, -0.02, 0.005], [0.0, 0.013, -0.004]])
    control = quadratic_control(spline, curvature)
    y, x = np.arange(40.0)[:, None], np.arange(32.0)
    field = np.stack([a * y**2 + b * y * x + c * x**2 for a, b, c in curvature])
    np.testing.assert_allclose(spline.displacement(control)[0], field, atol=1e-9)
    closed = np.mean([(2 * a) ** 2 + 2 * b**2 + (2 * c) ** 2 for a, b, c in curvature])
    assert spline.bending_energy(control).item() == pytest.approx(closed, rel=1e-9)
    assert BendingEnergyLoss()(torch.from_numpy(field[None])).item() == pytest.approx(closed, rel=1e-9)


def test_bending_energy_is_near_monais_for_a_smooth_random_field():
    spline = BSpline((128, 128), 32)
    control = controls(spline, 3)
    peer = BendingEnergyLoss(reduction="none")(spline.displacement(control)).mean((1, 2, 3))
    np.testing.assert_allclose(spline.bending_energy(control), peer, rtol=0.05)


def test_determinant_of_a_scaling_and_of_a_fold():
    spline = BSpline((20, 20), 6)
    y, x = (torch.from_numpy(control_positions(20, 6)) for _ in range(2))
    scaling = torch.stack([0.2 * y[:, None].expand(-1, len(x)), -0.1 * x.expand(len(y), -1)])[None]
    np.testing.assert_allclose(spline.determinant(scaling), 1.2 * 0.9, atol=1e-12)
    mirrored = torch.stack([-2 * y[:, None].expand(-1, len(x)), torch.zeros(len(y), len(x))])[None]
    np.testing.assert_allclose(spline.determinant(mirrored), -1.0, atol=1e-12)


def test_single_precision_is_near_double():
    spline = BSpline((64, 64), 16)
    control = controls(spline)
    np.testing.assert_allclose(spline.displacement(control.float()), spline.displacement(control), atol=1e-5)
    assert spline.displacement(control.float()).dtype == torch.float32
