"""Few combinations of values of many factors that have all pairs of them."""

import itertools

import numpy as np


def valid_pairs(factors, valid):
    """Return all pairs of values of two factors that may come together, in order.

    Parameters
    ----------
    factors : dict
        The values of each factor by its name.
    valid : callable
        Whether a case, or a part of one with some of the factors, may be: a part may be if
        values of all other factors make a case of it that may be.
    """
    pairs = []
    for one, other in itertools.combinations(factors, 2):
        for a, b in itertools.product(factors[one], factors[other]):
            if valid({one: a, other: b}):
                pairs.append(((one, a), (other, b)))
    return pairs


def pairs_of(case):
    """Return the pairs that a case has."""
    return set(itertools.combinations(case.items(), 2))


def pairwise(factors, valid):
    """Return cases that together have every valid pair, the first ones the most.

    Greedy, after Cohen, Dalal, Fredman, Patton (1997), "The AETG system", IEEE Transactions on
    Software Engineering 23(7): a case begins with the first pair that is missing; each other
    factor, in an order drawn anew, takes the value that brings the most missing pairs, one of
    equals by chance: taking turns, all switches would go on and off together.
    """
    rng = np.random.default_rng(0)
    missing = dict.fromkeys(valid_pairs(factors, valid))  # in order, which a set is not
    cases = []
    while missing:
        chosen = dict(next(iter(missing)))
        for name in rng.permutation(list(factors)).tolist():
            if name in chosen:
                continue
            best = None
            for value in factors[name]:
                if valid(chosen | {name: value}):
                    new = sum(
                        pair in missing for pair in pairs_with(factors, chosen, (name, value))
                    )
                    rank = new, rng.random()
                    if best is None or rank > best[0]:
                        best = rank, value
            chosen[name] = best[1]
        case = {name: chosen[name] for name in factors}
        for pair in pairs_of(case):
            missing.pop(pair, None)
        cases.append(case)
    return cases


def pairs_with(factors, chosen, item):
    """Yield the pairs of one more value with those chosen, in the order of the factors."""
    order = list(factors)
    for other in chosen.items():
        first = order.index(other[0]) < order.index(item[0])
        yield (other, item) if first else (item, other)
