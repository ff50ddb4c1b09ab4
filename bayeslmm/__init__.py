"""Linear mixed models, fitted by NUTS or by REML/ML, from one formula."""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0.dev0"

# The covariance structures, as `covariance/correlations/registry.py` lists them.
_STRUCTURES = (
    *("AR1", "ARH1", "ARMA11", "CAR1", "CS", "CSH", "ID", "UN", "Ante1", "Diag", "Exp", "FA"),
    *("Gau", "Matern", "RatQuad", "Sph", "Toep", "ToepH"),
)

# Attributes are looked up on first use, so that `import bayeslmm` itself costs next to nothing.
# A module must not have the name of something it exports: importing it would hide the export.
_MODULE_OF = {
    "Model": "api.model",
    "LikelihoodFit": "api.likelihood_fit",
    "MapFit": "api.map_fit",
    "PosteriorFit": "api.posterior_fit",
    "henderson": "reports.henderson",
    "to_latex": "reports.frames",
    "to_markdown": "reports.frames",
    "plot_convergence": "plots.convergence",
    "KenwardRoger": "solutions.degrees_of_freedom.kenward_roger",
    "compare": "comparison.fits",
    "StructureSelection": "comparison.structures",
    "select_structure": "api.selection",
    "datagrid": "effects.grid",
    "load": "api.loading",
    "load_dataset": "data.examples",
    "datasets": "data.examples",
    "Normal": "priors.families",
    "NormalAtMeans": "priors.families",
    "MvNormal": "priors.families",
    "StudentT": "priors.families",
    "StudentTAtMeans": "priors.families",
    "Cauchy": "priors.families",
    "Laplace": "priors.families",
    "Flat": "priors.families",
    "HalfNormal": "priors.families",
    "HalfStudentT": "priors.families",
    "HalfStudentTAtMeans": "priors.families",
    "HalfCauchy": "priors.families",
    "Exponential": "priors.families",
    "Gamma": "priors.families",
    "InverseGamma": "priors.families",
    "GammaPrecision": "priors.families",
    "LogNormal": "priors.families",
    "PC": "priors.families",
    "Beta": "priors.families",
    "Fixed": "priors.families",
    "Wishart": "priors.families",
    "InverseWishart": "priors.families",
    "HuangWand": "priors.families",
    "VarianceSplit": "priors.families",
    "Uniform": "priors.families",
    "LKJ": "priors.families",
    **dict.fromkeys(_STRUCTURES, "covariance.correlations.registry"),
    "VarExp": "covariance.structures",
    "VarIdent": "covariance.structures",
    "VarPower": "covariance.structures",
    "Known": "covariance.known",
    "PedigreeInverse": "covariance.pedigree",
    "pedigree_inverse": "covariance.pedigree",
    "BayeslmmError": "errors",
    "FormulaError": "errors",
    "DataError": "errors",
    "DesignError": "errors",
    "PriorError": "errors",
    "ArgumentError": "errors",
    "ArgumentTypeError": "errors",
    "MissingAttributeError": "errors",
    "FileError": "errors",
    "BayeslmmWarning": "errors",
    "DesignWarning": "errors",
    "ConvergenceWarning": "errors",
    "InterruptedWarning": "errors",
}

__all__ = list(_MODULE_OF)

if TYPE_CHECKING:
    from bayeslmm.api.likelihood_fit import LikelihoodFit as LikelihoodFit
    from bayeslmm.api.loading import load as load
    from bayeslmm.api.map_fit import MapFit as MapFit
    from bayeslmm.api.model import Model as Model
    from bayeslmm.api.posterior_fit import PosteriorFit as PosteriorFit
    from bayeslmm.api.selection import select_structure as select_structure
    from bayeslmm.comparison.fits import compare as compare
    from bayeslmm.comparison.structures import StructureSelection as StructureSelection
    from bayeslmm.covariance.correlations.registry import *  # noqa: F403
    from bayeslmm.covariance.known import Known as Known
    from bayeslmm.covariance.pedigree import PedigreeInverse as PedigreeInverse
    from bayeslmm.covariance.pedigree import pedigree_inverse as pedigree_inverse
    from bayeslmm.covariance.structures import VarExp as VarExp
    from bayeslmm.covariance.structures import VarIdent as VarIdent
    from bayeslmm.covariance.structures import VarPower as VarPower
    from bayeslmm.data.examples import datasets as datasets
    from bayeslmm.data.examples import load_dataset as load_dataset
    from bayeslmm.effects.grid import datagrid as datagrid
    from bayeslmm.errors import ArgumentError as ArgumentError
    from bayeslmm.errors import ArgumentTypeError as ArgumentTypeError
    from bayeslmm.errors import BayeslmmError as BayeslmmError
    from bayeslmm.errors import BayeslmmWarning as BayeslmmWarning
    from bayeslmm.errors import ConvergenceWarning as ConvergenceWarning
    from bayeslmm.errors import DataError as DataError
    from bayeslmm.errors import DesignError as DesignError
    from bayeslmm.errors import DesignWarning as DesignWarning
    from bayeslmm.errors import FileError as FileError
    from bayeslmm.errors import FormulaError as FormulaError
    from bayeslmm.errors import InterruptedWarning as InterruptedWarning
    from bayeslmm.errors import MissingAttributeError as MissingAttributeError
    from bayeslmm.errors import PriorError as PriorError
    from bayeslmm.plots.convergence import plot_convergence as plot_convergence
    from bayeslmm.priors.families import LKJ as LKJ
    from bayeslmm.priors.families import PC as PC
    from bayeslmm.priors.families import Beta as Beta
    from bayeslmm.priors.families import Cauchy as Cauchy
    from bayeslmm.priors.families import Exponential as Exponential
    from bayeslmm.priors.families import Fixed as Fixed
    from bayeslmm.priors.families import Flat as Flat
    from bayeslmm.priors.families import Gamma as Gamma
    from bayeslmm.priors.families import GammaPrecision as GammaPrecision
    from bayeslmm.priors.families import HalfCauchy as HalfCauchy
    from bayeslmm.priors.families import HalfNormal as HalfNormal
    from bayeslmm.priors.families import HalfStudentT as HalfStudentT
    from bayeslmm.priors.families import HalfStudentTAtMeans as HalfStudentTAtMeans
    from bayeslmm.priors.families import HuangWand as HuangWand
    from bayeslmm.priors.families import InverseGamma as InverseGamma
    from bayeslmm.priors.families import InverseWishart as InverseWishart
    from bayeslmm.priors.families import Laplace as Laplace
    from bayeslmm.priors.families import LogNormal as LogNormal
    from bayeslmm.priors.families import MvNormal as MvNormal
    from bayeslmm.priors.families import Normal as Normal
    from bayeslmm.priors.families import NormalAtMeans as NormalAtMeans
    from bayeslmm.priors.families import StudentT as StudentT
    from bayeslmm.priors.families import StudentTAtMeans as StudentTAtMeans
    from bayeslmm.priors.families import Uniform as Uniform
    from bayeslmm.priors.families import VarianceSplit as VarianceSplit
    from bayeslmm.priors.families import Wishart as Wishart
    from bayeslmm.reports.frames import to_latex as to_latex
    from bayeslmm.reports.frames import to_markdown as to_markdown
    from bayeslmm.reports.henderson import henderson as henderson
    from bayeslmm.solutions.degrees_of_freedom.kenward_roger import KenwardRoger as KenwardRoger


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'bayeslmm' has no attribute {name!r}")
    value = getattr(import_module(f"bayeslmm.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
