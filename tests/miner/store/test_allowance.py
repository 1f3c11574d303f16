"""What strangers may use: a share of the time, saved up to a burst, overdrawn by one at most."""

from miner.store.allowance import Allowance


class Time:
    now = 100.0


def make(share: float = 0.1, burst: float = 5.0) -> tuple[Allowance, Time]:
    time = Time()
    return Allowance(share, burst, lambda: time.now), time


def test_burst_is_there_at_first_and_the_next_waits_for_an_overdraft() -> None:
    allowance, time = make()
    allowance.spend(4.0)
    assert allowance.compute_wait() == 0.0
    allowance.spend(3.0)
    assert allowance.compute_wait() == 20.0
    time.now += 19.0
    assert 0.0 < allowance.compute_wait() <= 1.0 + 1e-9
    time.now += 1.0
    assert allowance.compute_wait() < 1e-9


def test_no_more_than_the_burst_is_saved() -> None:
    allowance, time = make()
    time.now += 1e6
    allowance.spend(5.1)
    assert 0.99 < allowance.compute_wait() < 1.01


def test_what_was_not_used_comes_back() -> None:
    allowance, _ = make()
    allowance.spend(10.0)
    allowance.spend(-5.0)
    assert allowance.compute_wait() == 0.0


def test_share_of_a_greedy_stranger() -> None:
    """Whoever always takes two seconds as soon as he may gets a tenth of the time, and the burst."""
    allowance, time = make()
    spent = 0.0
    while time.now < 100_100.0:
        if allowance.compute_wait() == 0.0:
            allowance.spend(2.0)
            spent += 2.0
        time.now += 0.5
    assert 9_990 < spent < 10_010
