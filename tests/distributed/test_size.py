"""The simulation of large exports adds up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mixpanel_async import RateLimits

size = pytest.importorskip("benchmarks.size", reason="the wheel's tests run without the benchmark")
SMALL = size.Fleet(projects=20, days=365, workers=2, threads=2)


def test_it_is_bound_by_what_is_scarce():
    assert size.simulate(SMALL).bound == "threads of the workers"
    many = replace(SMALL, workers=100, threads=20)
    assert size.simulate(many).hours < size.simulate(SMALL).hours
    limited = replace(many, limits=RateLimits(per_hour=5), chunk_days=7)
    assert size.simulate(limited).bound == "Mixpanel's limits for one project"
    assert size.simulate(replace(SMALL, threads=20, cores=1)).bound == "processors of the workers"


def test_no_project_is_faster_than_its_limits_and_no_bound_is_beaten():
    limited = size.simulate(replace(SMALL, projects=3, workers=100, limits=RateLimits(per_hour=10), chunk_days=7))
    chunks = limited.requests / 3
    assert limited.hours >= (chunks - 1) // 10
    for fleet in (SMALL, replace(SMALL, workers=50)):
        found = size.simulate(fleet)
        assert found.hours >= max(found.bounds.values()) * 0.999
        assert 0 < found.busy <= 1
        assert found.gigabytes == pytest.approx(20 * 365 / 1000)
