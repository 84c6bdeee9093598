"""The filter of a search holds what was asked for and nothing else."""

from __future__ import annotations

import math

import pytest

from schemas.errors import KaraisError
from stores.scope import Scope


def test_a_search_sees_its_own_project_and_the_global_one_only_when_it_says_so():
    """The project is always part of the filter."""
    assert Scope(project="work").where() == "project = 'work'"
    assert Scope(project="work", with_global=True).where() == "project IN ('work', 'global')"
    assert Scope(project="global", with_global=True).where() == "project = 'global'"


def test_kinds_and_times_narrow_it():
    """From a moment on, and before another."""
    scope = Scope(kinds=("turn", "fact"), after=1.5, before=2e9)
    assert scope.where() == (
        "project = 'home' AND kind IN ('turn', 'fact') AND at >= 1.500000 AND at < 2000000000.000000"
    )


@pytest.mark.parametrize("name", ["a' OR '1'='1", "", "a b", "x\n", "\u00e9", "a" * 201, "it's"])
def test_nothing_but_a_plain_token_comes_into_a_filter(name):
    """Quotes, spaces, other scripts and nothing at all are refused."""
    with pytest.raises(KaraisError):
        Scope(project=name).where()
    with pytest.raises(KaraisError):
        Scope(kinds=(name,)).where()


@pytest.mark.parametrize("moment", [math.nan, math.inf, -math.inf])
def test_a_time_is_a_number(moment):
    """Infinity and not-a-number are no moments."""
    with pytest.raises(KaraisError):
        Scope(after=moment).where()
