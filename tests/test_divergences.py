"""The table of f-divergences keeps its mathematical promises, and critics trained with it find the divergence."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from tsmgan.errors import UsageError  # noqa: E402
from tsmgan.training.divergences import DIVERGENCES, GENERATOR_LOSSES, divergence  # noqa: E402

settings.register_profile("divergences", deadline=None, max_examples=60)
settings.load_profile("divergences")
NAMES = sorted(DIVERGENCES)
ratios = st.floats(-7, 7).map(math.exp)
answers = st.floats(-12, 12)


def example():
    spec = importlib.util.spec_from_file_location("example_divergences", Path(__file__).parents[1] / "examples" / "divergences.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wide(x: float) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.float64)


def slope(d, u: float) -> torch.Tensor:
    """f'(u); for tv, whose f has a corner at 1, one element of its subgradient."""
    u = wide(u).requires_grad_()
    return torch.autograd.grad(d.f(u), u)[0]


@pytest.mark.parametrize("name", NAMES)
@given(u=ratios)
def test_fenchel_young_holds_with_equality_at_the_slope(name, u):
    d = DIVERGENCES[name]
    t = slope(d, u)
    assert torch.isclose(d.f(wide(u)) + d.conjugate(t), u * t, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
@given(u=ratios, v=answers)
def test_fenchel_young_inequality_holds_everywhere_in_the_domain(name, u, v):
    d = DIVERGENCES[name]
    t = d.activation(wide(v))
    assert d.f(wide(u)) + d.conjugate(t) - u * t > -1e-7 * (1 + abs(u * t.item()))


@pytest.mark.parametrize("name", NAMES)
@given(u=ratios)
def test_the_conjugate_of_the_conjugate_is_f(name, u):
    d = DIVERGENCES[name]
    around = d.activation(torch.linspace(-12, 12, 4001, dtype=torch.float64))
    t = torch.cat([around, slope(d, u)[None]])
    biconjugate = (u * t - d.conjugate(t)).max()
    assert torch.isclose(biconjugate, d.f(wide(u)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_f_is_zero_at_one_except_for_gan(name):
    expected = -math.log(4) if name == "gan" else 0.0
    assert DIVERGENCES[name].f(wide(1.0)).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@given(u=ratios, w=ratios)
def test_f_is_convex(name, u, w):
    d = DIVERGENCES[name]
    middle = d.f(wide((u + w) / 2))
    assert middle <= (d.f(wide(u)) + d.f(wide(w))) / 2 + 1e-9 * (1 + abs(middle))


@pytest.mark.parametrize("name", NAMES)
@given(v=st.floats(-1e4, 1e4))
def test_activation_lands_in_the_domain(name, v):
    d = DIVERGENCES[name]
    low, high = d.domain
    t = d.activation(wide(v))
    assert low <= t <= high and torch.isfinite(t)


@pytest.mark.parametrize("name", NAMES)
def test_the_conjugate_is_infinite_outside_the_domain_and_finite_within(name):
    d = DIVERGENCES[name]
    for end, step in zip(d.domain, (-1e-3, 1e-3)):
        if math.isfinite(end):
            assert torch.isinf(d.conjugate(wide(end + step)))
            assert torch.isfinite(d.conjugate(wide(end - step)))
        else:
            assert torch.isfinite(d.conjugate(wide(math.copysign(50.0, end))))


@pytest.mark.parametrize("name", NAMES)
@given(v=answers)
def test_the_composition_equals_the_conjugate_of_the_activation(name, v):
    d = DIVERGENCES[name]
    v = wide(v)
    assert torch.isclose(d.conjugate_of_activation(v), d.conjugate(d.activation(v)), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_activation_is_monotone_and_balanced_at_equal_densities(name):
    d = DIVERGENCES[name]
    t = d.activation(torch.linspace(-60, 60, 2001, dtype=torch.float64))
    assert (t.diff() >= 0).all() and t[-1] > t[0]
    middle = (slope(d, 1 - 1e-9) + slope(d, 1 + 1e-9)) / 2
    assert d.activation(wide(d.balance)).item() == pytest.approx(middle.item(), abs=1e-6)


@pytest.mark.parametrize("kind", GENERATOR_LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_losses_and_gradients_are_finite_at_large_answers(name, dtype, kind):
    d = DIVERGENCES[name]
    extremes = torch.tensor([-1e6, -1e3, -89.0, -20.0, -1e-6, 0.0, 1e-6, 20.0, 89.0, 1e3, 1e6], dtype=dtype)
    for loss in (lambda v: d.critic_loss(v, v.flip(0)), lambda v: d.generator_loss(v, kind)):
        v = extremes.clone().requires_grad_()
        value = loss(v)
        (gradient,) = torch.autograd.grad(value, v)
        assert torch.isfinite(value) and torch.isfinite(gradient).all() and value.dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_a_critic_never_measures_more_than_the_divergence(name):
    """On finite distributions the bound is below the divergence for any critic, limited tails included, and tight at f'(p / q)."""
    d = DIVERGENCES[name]
    generator = torch.Generator().manual_seed(0)
    p, q = torch.rand(2, 6, generator=generator, dtype=torch.float64).softmax(-1)
    exact = (q * d.f(p / q)).sum()
    v = 30 * torch.randn(2000, 6, generator=generator, dtype=torch.float64)
    bounds = (p * d.activation(v)).sum(-1) - (q * d.conjugate_of_activation(v)).sum(-1)
    assert (bounds <= exact + 1e-9).all()
    best = torch.stack([slope(d, u) for u in (p / q).tolist()])
    assert ((p * best).sum() - (q * d.conjugate(best)).sum()).item() == pytest.approx(exact.item(), abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_trained_bound_is_within_two_percent_of_the_exact_divergence(name):
    torch.set_num_threads(1)
    module = example()
    bound, _ = module.estimate(divergence(name), steps=800)
    assert bound == pytest.approx(module.exact(name), rel=0.02)


@pytest.mark.parametrize(("p", "q"), [((0.0, 1.0), (0.7, 1.2)), ((-0.4, 0.8), (0.3, 0.9))])
@pytest.mark.parametrize("name", NAMES)
def test_the_examples_closed_forms_agree_with_the_integral_of_f(name, p, q):
    x = torch.linspace(-12, 12, 200001, dtype=torch.float64)

    def log_density(m, s):
        return -0.5 * ((x - m) / s) ** 2 - math.log(s * math.sqrt(2 * math.pi))

    a, b = log_density(*p), log_density(*q)
    keep = b > -200
    integral = torch.trapezoid((b.exp() * DIVERGENCES[name].f((a - b).exp()))[keep], x[keep])
    assert integral.item() == pytest.approx(example().exact(name, p, q), rel=1e-4)


@pytest.mark.parametrize("kind", GENERATOR_LOSSES)
def test_a_toy_generator_moves_to_the_data(kind):
    torch.set_num_threads(1)
    module = example()
    mean = sum(m * w for m, _, w in module.MODES)
    a, b = module.imitate(divergence("js"), kind, steps=250)
    assert abs(a - mean) < 0.5 and 0.8 < b < 2.2


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UsageError, match='did you mean "squared-hellinger"'):
        divergence("square-hellinger")
    with pytest.raises(UsageError, match='did you mean "saturating"'):
        divergence("kl").generator_loss(torch.zeros(3), "saturate")
