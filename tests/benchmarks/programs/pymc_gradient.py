"""What one gradient of the textbook PyMC model costs, beta and u sampled: `rows`.

It is the model that Bambi would write, without the correlation; Bambi itself needs a dense matrix
of rows by groups, 75 GiB.
"""

import sys

import numpy as np
import pymc as pm
from common import large_data, report, seconds
from pymc.blocking import DictToArrayBijection

data = large_data(int(sys.argv[1]))
y, x, g = data["y"], data["x"], data["g"]
with pm.Model() as model:
    beta = pm.Normal("beta", 0, 25, shape=2)
    sd = pm.HalfNormal("sd", 10, shape=2)
    u = pm.Normal("u_offset", shape=(int(g.max()) + 1, 2)) * sd
    mu = beta[0] + beta[1] * x + u[g, 0] + u[g, 1] * x
    pm.Normal("y", mu, pm.HalfStudentT("sigma", 4, y.std()), observed=y)

function = model.logp_dlogp_function(ravel_inputs=True)
function.set_extra_values({})
start = DictToArrayBijection.map(model.initial_point())
point = type(start)(np.full_like(start.data, 0.1), start.point_map_info)
report(gradient=seconds(lambda: function(point), calls=10, warm_up=2))
