"""All correlation structures, a line each: the classes that users write, with their correlations.

`bayeslmm/__init__.py` has their names a second time, so that importing the library loads nothing.
"""

from bayeslmm.covariance.correlations.antedependence import Ante1 as Ante1
from bayeslmm.covariance.correlations.ar1 import AR1 as AR1
from bayeslmm.covariance.correlations.ar1 import ARH1 as ARH1
from bayeslmm.covariance.correlations.arma11 import ARMA11 as ARMA11
from bayeslmm.covariance.correlations.car1 import CAR1 as CAR1
from bayeslmm.covariance.correlations.compound_symmetry import CS as CS
from bayeslmm.covariance.correlations.compound_symmetry import CSH as CSH
from bayeslmm.covariance.correlations.exponential import Exp as Exp
from bayeslmm.covariance.correlations.factor_analytic import FA as FA
from bayeslmm.covariance.correlations.gaussian import Gau as Gau
from bayeslmm.covariance.correlations.matern import Matern as Matern
from bayeslmm.covariance.correlations.none import ID as ID
from bayeslmm.covariance.correlations.none import Diag as Diag
from bayeslmm.covariance.correlations.rational_quadratic import RatQuad as RatQuad
from bayeslmm.covariance.correlations.spherical import Sph as Sph
from bayeslmm.covariance.correlations.toeplitz import Toep as Toep
from bayeslmm.covariance.correlations.toeplitz import ToepH as ToepH
from bayeslmm.covariance.correlations.unrestricted import UN as UN
from bayeslmm.covariance.structures import Covariance

STRUCTURES: dict[str, type[Covariance]] = {
    name: cls
    for name, cls in list(globals().items())
    if isinstance(cls, type) and issubclass(cls, Covariance) and cls is not Covariance
}
"""By the names that users write."""

CALLS = {call: cls.of_call() for cls in STRUCTURES.values() for call in cls.calls}
"""By the names that stand around a bar of a formula."""
