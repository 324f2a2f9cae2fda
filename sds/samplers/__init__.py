"""Noise schedules and solvers of the probability-flow ODE, one function each.

- `churned_steps`: Euler steps with churn and correctors: the arithmetic that all samplers of tracks
  share.
- `denoiser`: The denoiser D(x; sigma), which every sampler calls.
- `discrete_time`: The denoiser of a network that says the noise of z at discrete times (DDPM), as
  of MT-MusicLDM.
- `dpm_solver`: DPM-Solver++: exponential integrators that extrapolate D itself, in lambda = -log
  sigma.
- `exponential`: Exponential Adams-Bashforth solvers (DEIS): many evaluations are used again, one is
  made a step.
- `gaussian_mixture`: The exact denoiser of a Gaussian mixture, on which solvers are measured.
- `inversion`: Estimates of the clean latent, and DDIM inversion.
- `ode`: Solvers of the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma.
- `schedules`: Noise levels: the rectified-flow map of t and sigma, and schedules.
- `solvers`: The tables of solvers: of deterministic ones what each costs and how fast it
  converges.
- `stochastic`: Stochastic samplers: fresh noise in every step, from a generator of the caller's.
- `stepwise`: Any sampler one evaluation at a time: the caller sees how far it is, and can stop
  it.
- `tracks`: Denoisers of several tracks made of others: of one noise level for all, or of one track
  each.
- `unipc`: UniPC: a multistep predictor whose corrector costs no evaluation.
"""
