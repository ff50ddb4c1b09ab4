"""Structured residuals: likelihoods, gradients and draws against dense algebra."""

import numpy as np
import pytest
from dense import full_Z

import bayeslmm as bl
from bayeslmm import correlations, kernels
from bayeslmm.core import compile_core
from bayeslmm.correlations import correlation
from bayeslmm.design import compile_design
from bayeslmm.elimination import pack
from bayeslmm.parameters import Parameters
from bayeslmm.residuals import ResidualRows
