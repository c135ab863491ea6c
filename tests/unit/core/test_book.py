from datetime import UTC, datetime, timedelta
from decimal import Decimal

from engine.core.book import Book, Line

START = datetime(2026, 1, 5, 15, tzinfo=UTC)


def line(second, quantity, value, number=0):
    return Line(sort=(START + timedelta(seconds=second), 0, number), quantity=Decimal(quantity), value=Decimal(value))


def test_a_line_that_comes_late_is_folded_at_its_place():
    book = Book()
    first, last = line(0, 10, 100), line(20, -10, 110)
    book.put(first)
    book.put(last)
    assert last.realized == 100
    assert book.put(line(10, 10, 120)) == [last]
    assert (book.quantity, book.open_cost, book.realized) == (10, 1100, 0)
    assert last.realized == 0


def test_taking_a_line_out_leaves_the_book_as_if_it_had_never_been_in():
    book = Book()
    late = line(5, 7, 3, 9)
    lines = [line(n, (-1) ** n * (n % 5 + 1), 10 + n % 7, n) for n in range(700)]
    for each in lines:
        book.put(each)
    before = (book.quantity, book.open_cost, book.realized, [each.realized for each in lines])
    book.put(late)
    book.take(late)
    assert (book.quantity, book.open_cost, book.realized, [each.realized for each in lines]) == before


def test_any_order_of_arrival_gives_one_book_across_kept_states():
    lines = [line(n, (-1) ** (n // 3) * (n % 5 + 1), 10 + n % 7, n) for n in range(600)]
    straight = Book()
    for each in lines:
        straight.put(each)
    expected = (straight.quantity, straight.open_cost, straight.realized)
    shuffled = Book()
    again = [line(n, (-1) ** (n // 3) * (n % 5 + 1), 10 + n % 7, n) for n in range(600)]
    for each in again[1::2] + again[-2::-2]:
        shuffled.put(each)
    assert (shuffled.quantity, shuffled.open_cost, shuffled.realized) == expected
    assert [a.realized for a in shuffled.lines] == [a.realized for a in straight.lines]


def test_emptying_a_book_leaves_nothing():
    book = Book()
    lines = [line(n, 1, 10, n) for n in range(300)]
    for each in lines:
        book.put(each)
    for each in lines:
        book.take(each)
    assert (book.quantity, book.open_cost, book.realized, book.lines) == (0, 0, 0, [])
    book.put(line(1, 2, 3))
    assert book.open_cost == 6
