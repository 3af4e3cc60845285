"""Initial values of parameters."""

from fastrnn.initializers.choice import Choice, Initializable, initialize
from fastrnn.initializers.drawing import generator, normal, random_key, uniform_fan
from fastrnn.initializers.rules import (
    Chrono,
    Constant,
    ForgetBias,
    GlorotNormal,
    GlorotUniform,
    Identity,
    Initializer,
    Normal,
    Orthogonal,
    Target,
    Uniform,
)

__all__ = [
    "Choice",
    "Chrono",
    "Constant",
    "ForgetBias",
    "GlorotNormal",
    "GlorotUniform",
    "Identity",
    "Initializable",
    "Initializer",
    "Normal",
    "Orthogonal",
    "Target",
    "Uniform",
    "generator",
    "initialize",
    "normal",
    "random_key",
    "uniform_fan",
]
