"""The names of the samplers and schedules of clips, without these.

A job names them, and models of jobs are made in every process; `sds.samplers` has what they name.
"""

from __future__ import annotations

SAMPLERS = (
    "euler",
    "heun",
    "rhoab2",
    "rhoab3",
    "rhoab4",
    "tab2",
    "tab3",
    "tab4",
    "logab2",
    "logab3",
    "logab4",
    "exponential_rk2s",
    "exponential_rk3s",
    "dpmpp_2m",
    "dpmpp_3m",
    "unipc2",
    "unipc3",
    "churn",
    "dpmpp_3m_sde",
    "ping_pong",
    "repaint",
)
SCHEDULES = ("karras", "polyexponential", "rf_logsnr", "sa3_logsnr")
