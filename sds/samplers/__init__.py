"""Noise schedules and solvers of the probability-flow ODE, one function each.

- `denoiser`: The denoiser D(x; sigma), which every sampler calls.
- `exponential`: Exponential integrators of the probability-flow ODE.
- `inversion`: Estimates of the clean latent, and DDIM inversion.
- `ode`: Solvers of the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma.
- `schedules`: Noise levels: the rectified-flow map of t and sigma, and schedules.
- `stepwise`: Any sampler one evaluation at a time: the caller sees how far it is, and can stop
  it.
"""
