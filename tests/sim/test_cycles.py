"""A sequence that has begun to repeat itself is recognized, with its shortest piece."""

from hypothesis import given
from hypothesis import strategies as st

from routilux_sim.judge.cycles import period_of

pieces = st.lists(st.integers(0, 3), min_size=1, max_size=6)


def repeats(word, period):
    return all(word[index] == word[index - period] for index in range(period, len(word)))


@given(st.lists(st.integers(0, 3), max_size=20), pieces, st.integers(8, 20))
def test_a_repeated_piece_is_found(begin, piece, times):
    """Whatever came before, once it is half of the whole: a piece that repeats the rest, no longer than this one."""
    word = begin + piece * times
    if len(piece) * times < 2 * len(begin):
        return
    half = word[len(word) // 2 :]
    period = period_of(word)
    assert period is not None
    assert period <= len(piece)
    assert repeats(half, period)


@given(st.lists(st.integers(0, 2), max_size=60))
def test_what_is_found_is_the_shortest(word):
    """As by trying all of them."""
    half = word[len(word) // 2 :]
    shortest = next((period for period in range(1, len(half) // 3 + 1) if repeats(half, period)), None)
    assert period_of(word) == shortest


def test_what_does_not_repeat_has_no_period():
    """Nor has what repeats less than three times."""
    assert period_of([]) is None
    assert period_of(list(range(100))) is None
    assert period_of([0] * 10 + [1, 2, 3, 4, 5] * 2) is None
