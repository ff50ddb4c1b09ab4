"""Linear mixed models, fitted by NUTS or by REML/ML, from one formula."""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0.dev0"

# Attributes are looked up on first use, so that `import bayeslmm` itself costs next to nothing.
# A module must not have the name of something it exports: importing it would hide the export.
_MODULE_OF = {
    "Model": "model",
    "LikelihoodFit": "likelihood_fit",
    "MapFit": "map_fit",
    "PosteriorFit": "posterior_fit",
    "henderson": "henderson_equations",
    "plot_convergence": "plots_convergence",
    "compare": "comparing",
    "StructureSelection": "structure_selection",
    "select_structure": "structure_selection",
    "load": "storage",
    "load_dataset": "example_data",
    "datasets": "example_data",
    "Normal": "priors",
    "NormalAtMeans": "priors",
    "MvNormal": "priors",
    "StudentT": "priors",
    "Cauchy": "priors",
    "Laplace": "priors",
    "Flat": "priors",
    "HalfNormal": "priors",
    "HalfStudentT": "priors",
    "HalfStudentTAtMeans": "priors",
    "HalfCauchy": "priors",
    "Exponential": "priors",
    "Gamma": "priors",
    "InverseGamma": "priors",
    "LogNormal": "priors",
    "PC": "priors",
    "Beta": "priors",
    "Fixed": "priors",
    "Wishart": "priors",
    "InverseWishart": "priors",
    "HuangWand": "priors",
    "VarianceSplit": "priors",
    "Uniform": "priors",
    "LKJ": "priors",
    "AR1": "covariance",
    "ARH1": "covariance",
    "ARMA11": "covariance",
    "CAR1": "covariance",
    "CS": "covariance",
    "CSH": "covariance",
    "ID": "covariance",
    "UN": "covariance",
    "Ante1": "covariance",
    "Diag": "covariance",
    "Exp": "covariance",
    "FA": "covariance",
    "Gau": "covariance",
    "Matern": "covariance",
    "Toep": "covariance",
    "ToepH": "covariance",
    "VarExp": "covariance",
    "VarIdent": "covariance",
    "VarPower": "covariance",
    "Known": "known",
    "PedigreeInverse": "pedigree",
    "pedigree_inverse": "pedigree",
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
    from bayeslmm.comparing import compare as compare
    from bayeslmm.covariance import AR1 as AR1
    from bayeslmm.covariance import ARH1 as ARH1
    from bayeslmm.covariance import ARMA11 as ARMA11
    from bayeslmm.covariance import CAR1 as CAR1
    from bayeslmm.covariance import CS as CS
    from bayeslmm.covariance import CSH as CSH
    from bayeslmm.covariance import FA as FA
    from bayeslmm.covariance import ID as ID
    from bayeslmm.covariance import UN as UN
    from bayeslmm.covariance import Ante1 as Ante1
    from bayeslmm.covariance import Diag as Diag
    from bayeslmm.covariance import Exp as Exp
    from bayeslmm.covariance import Gau as Gau
    from bayeslmm.covariance import Matern as Matern
    from bayeslmm.covariance import Toep as Toep
    from bayeslmm.covariance import ToepH as ToepH
    from bayeslmm.covariance import VarExp as VarExp
    from bayeslmm.covariance import VarIdent as VarIdent
    from bayeslmm.covariance import VarPower as VarPower
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
    from bayeslmm.example_data import datasets as datasets
    from bayeslmm.example_data import load_dataset as load_dataset
    from bayeslmm.henderson_equations import henderson as henderson
    from bayeslmm.known import Known as Known
    from bayeslmm.likelihood_fit import LikelihoodFit as LikelihoodFit
    from bayeslmm.map_fit import MapFit as MapFit
    from bayeslmm.model import Model as Model
    from bayeslmm.pedigree import PedigreeInverse as PedigreeInverse
    from bayeslmm.pedigree import pedigree_inverse as pedigree_inverse
    from bayeslmm.plots_convergence import plot_convergence as plot_convergence
    from bayeslmm.posterior_fit import PosteriorFit as PosteriorFit
    from bayeslmm.priors import LKJ as LKJ
    from bayeslmm.priors import PC as PC
    from bayeslmm.priors import Beta as Beta
    from bayeslmm.priors import Cauchy as Cauchy
    from bayeslmm.priors import Exponential as Exponential
    from bayeslmm.priors import Fixed as Fixed
    from bayeslmm.priors import Flat as Flat
    from bayeslmm.priors import Gamma as Gamma
    from bayeslmm.priors import HalfCauchy as HalfCauchy
    from bayeslmm.priors import HalfNormal as HalfNormal
    from bayeslmm.priors import HalfStudentT as HalfStudentT
    from bayeslmm.priors import HalfStudentTAtMeans as HalfStudentTAtMeans
    from bayeslmm.priors import HuangWand as HuangWand
    from bayeslmm.priors import InverseGamma as InverseGamma
    from bayeslmm.priors import InverseWishart as InverseWishart
    from bayeslmm.priors import Laplace as Laplace
    from bayeslmm.priors import LogNormal as LogNormal
    from bayeslmm.priors import MvNormal as MvNormal
    from bayeslmm.priors import Normal as Normal
    from bayeslmm.priors import NormalAtMeans as NormalAtMeans
    from bayeslmm.priors import StudentT as StudentT
    from bayeslmm.priors import Uniform as Uniform
    from bayeslmm.priors import VarianceSplit as VarianceSplit
    from bayeslmm.priors import Wishart as Wishart
    from bayeslmm.storage import load as load
    from bayeslmm.structure_selection import StructureSelection as StructureSelection
    from bayeslmm.structure_selection import select_structure as select_structure


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'bayeslmm' has no attribute {name!r}")
    value = getattr(import_module(f"bayeslmm.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
