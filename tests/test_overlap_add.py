"""Windows: every sample covered, no more work than needed, weights that sum to one."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sds.signal.overlap_add import even_spans, fades, overlap_add, reflect_pad, spans

SIZES = st.tuples(st.integers(1, 3000), st.integers(1, 200)).filter(lambda x: x[0] < 60 * x[1])


@given(SIZES, st.integers(0, 50))
def test_even_windows_cover_the_file_with_as_few_as_it_takes(sizes, shared):
    samples, size = sizes
    shared = min(shared, size // 4)
    windows = even_spans(samples, size, shared=shared)
    lengths = [end - begin for begin, end in windows]
    assert (windows[0][0], windows[-1][1]) == (0, samples)
    assert max(lengths) <= size
    assert lengths[:-1] == lengths[:1] * (len(lengths) - 1)
    assert all(b[0] == a[1] - shared for a, b in pairwise(windows))  # so much with the next ...
    assert all(c[0] >= a[1] for a, c in zip(windows, windows[2:], strict=False))  # ... no more
    work = sum(lengths)
    assert work == samples + shared * (len(windows) - 1)
    if len(windows) > 1:  # one window fewer could not reach
        assert (len(windows) - 1) * (size - shared) + shared < samples


def test_work_grows_linearly_with_length():
    """Never more than size / (size - shared) of it, whatever the length."""
    for samples in range(100, 2000, 7):
        work = sum(end - begin for begin, end in even_spans(samples, 100, shared=10))
        assert work <= samples * 100 / 90 + 10


@given(SIZES, st.booleans())
def test_fades_sum_to_one_and_add_up_to_what_was_cut(sizes, even):
    samples, size = sizes
    windows = even_spans(samples, size, shared=size // 4) if even else spans(samples, size)
    x = torch.linspace(1, 2, samples).expand(2, -1)
    whole = torch.zeros(samples)
    for (begin, end), fade in zip(windows, fades(windows), strict=True):
        whole[begin:end] += fade
    torch.testing.assert_close(whole, torch.ones(samples))
    faded = [x[:, b:e] * fade for (b, e), fade in zip(windows, fades(windows), strict=True)]
    stretches = list(overlap_add(windows, iter(faded)))
    assert len(stretches) == len(windows)
    torch.testing.assert_close(torch.cat(stretches, -1), x)


def test_stretches_come_as_soon_as_they_are_whole():
    windows = even_spans(100, 40, shared=10)
    taken = []

    def pieces():
        for begin, end in windows:
            taken.append(begin)
            yield torch.ones(end - begin)

    for i, _ in enumerate(overlap_add(windows, pieces())):
        assert len(taken) == i + 1


def test_adding_up_leaves_the_pieces_alone():
    pieces = [torch.ones(4), torch.ones(4)]
    list(overlap_add([(0, 4), (2, 6)], pieces))
    assert all(bool((piece == 1).all()) for piece in pieces)


@given(st.integers(1, 30), st.integers(1, 100))
def test_mirrored_ends_have_no_steps(length, size):
    """A ramp mirrored is a triangle wave: it moves by one a sample, for ever."""
    out = reflect_pad(torch.arange(float(length)), size)
    assert len(out) == size
    assert torch.equal(out[:length], torch.arange(float(min(length, size))))
    if length > 1 and size > 1:
        assert torch.equal(out.diff().abs(), torch.ones(size - 1))


def test_windows_that_share_too_much_are_refused():
    with pytest.raises(ValueError, match=r"shared must be 0 \.\. 25, a quarter of size, got 26"):
        even_spans(1000, 100, shared=26)
