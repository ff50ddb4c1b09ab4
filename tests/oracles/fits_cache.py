"""Models that several test modules fit, each fitted once in a process."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from bayeslmm.api.likelihood_fit import LikelihoodFit
from bayeslmm.api.model import Model
from bayeslmm.api.posterior_fit import PosteriorFit
from bayeslmm.data.examples import load_dataset

SEED = 20_240_229


class Spec(NamedTuple):
    """A model: what `Model` is given."""

    formula: str
    dataset: str
    weights: str | None = None


MODELS = {
    "intercepts": Spec("Reaction ~ Days + (1 | Subject)", "sleepstudy"),
    "slopes": Spec("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
    "two bars": Spec("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", "sleepstudy"),
    "crossed": Spec("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin"),
    "nested": Spec("strength ~ 1 + (1 | batch/cask)", "Pastes"),
    "no random effects": Spec("Reaction ~ Days", "sleepstudy"),
    "no coefficients": Spec("Reaction ~ 0 + (1 | Subject)", "sleepstudy"),
    "weights": Spec("Reaction ~ Days + (Days | Subject)", "sleepstudy", "w"),
    "offset": Spec("Reaction ~ Days + offset(off) + (1 | Subject)", "sleepstudy"),
    "factor ||": Spec("score ~ Machine + (Machine || Worker)", "Machines"),
    "three effects": Spec("score ~ Machine + (Machine | Worker)", "Machines"),
    "one variance": Spec("score ~ Machine + id(0 + Machine | Worker)", "Machines"),
}


def data(name: str) -> Any:
    """The data of a model, with a weight and an offset where they are used."""
    frame = load_dataset(MODELS[name].dataset)
    if MODELS[name].dataset == "sleepstudy":
        frame = frame.assign(w=1 / (1 + 0.1 * frame["Days"]), off=5 * np.sqrt(frame["Days"]))
        frame.index = [f"row {i}" for i in range(len(frame))]
    return frame


@cache
def model(name: str) -> Model:
    """A model by its name."""
    spec = MODELS[name]
    return Model(spec.formula, data(name), weights=spec.weights)


@cache
def likelihood(name: str, method: str = "reml") -> LikelihoodFit:
    """A model fitted by REML or ML."""
    return model(name).fit(method)  # type: ignore[call-overload]


@cache
def posterior(name: str) -> PosteriorFit:
    """A model fitted by NUTS, with few draws."""
    return model(name).fit("nuts", random_seed=SEED, chains=2, progress=False)
