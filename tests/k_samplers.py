"""The samplers and schedules of k-diffusion, imported without what its package loads beside them.

`import k_diffusion` loads torchvision, CLIP and torch's compiler: 6 s of a core. Its samplers need
one function of all that.
"""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from sds.priors.quiet_import import quiet

PACKAGE = "k_diffusion_alone"


@cache
def k_sampling() -> ModuleType:
    """The module `k_diffusion.sampling` as it is installed."""
    installed = importlib.util.find_spec("k_diffusion")
    assert installed is not None
    assert installed.origin is not None
    package, utils = ModuleType(PACKAGE), ModuleType(f"{PACKAGE}.utils")
    package.__path__ = [str(Path(installed.origin).parent)]
    package.utils = utils  # type: ignore[attr-defined]
    utils.append_dims = lambda x, ndim: x[(...,) + (None,) * (ndim - x.ndim)]  # type: ignore[attr-defined]
    sys.modules |= {PACKAGE: package, utils.__name__: utils}
    with quiet():
        return importlib.import_module(f"{PACKAGE}.sampling")
