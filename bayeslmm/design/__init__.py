"""A formula, its data and covariance structures compiled into a `Design`."""
