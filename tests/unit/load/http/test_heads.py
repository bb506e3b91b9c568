"""Heads read before: an answer found that way is the same as one that was parsed."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.load.http.connection import Connection
from surgeproof.load.http.heads import Head, KnownHeads

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-One: 1\r\n\r\nbody"
MARKED = b"HTTP/1.1 429 No\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n"

Seen = tuple[str, int, list[tuple[bytes, bytes]], bytes, frozenset[bytes], bool, int]


class Wire:
    """A connection whose exchange notes what came."""

    def __init__(self, heads: KnownHeads) -> None:
        self.connection = Connection(lambda _: None, lambda _: None, lambda: 1.0, heads)
        self.connection.connection_made(cast("asyncio.BaseTransport", self))
        self.seen: list[Seen] = []

    def write(self, data: bytes) -> None:
        """Let it go."""

    def abort(self) -> None:
        """Have nothing to close."""

    def answered(self, connection: Connection) -> None:
        self._note("answered", connection)

    def failed(self, connection: Connection | None, kind: str, detail: str) -> None:
        assert connection is not None
        self._note(kind, connection)

    def ask(self, *pieces: bytes, is_head: bool = False) -> None:
        self.connection.send(b"x", self, 0.0, 9, 9, is_head)
        for piece in pieces:
            self.connection.data_received(piece)

    def _note(self, word: str, connection: Connection) -> None:
        self.seen.append(
            (
                word,
                connection.status,
                list(connection.headers),
                connection.body,
                frozenset(connection.marks),
                connection.can_keep_alive,
                connection.received_bytes,
            )
        )


class NeverKnown(KnownHeads):
    def find(self, head: bytes) -> Head | None:
        return None


@pytest.mark.parametrize("answer", [PLAIN, MARKED], ids=["plain", "marked"])
def test_an_answer_seen_again_is_the_same_as_the_one_parsed(answer: bytes) -> None:
    wire = Wire(KnownHeads())
    wire.ask(answer)
    known = wire.connection._heads.find(answer.partition(b"\r\n\r\n")[0])
    assert known is not None
    wire.ask(answer)
    first, second = wire.seen
    assert first == second


def test_a_head_learned_on_one_connection_is_known_on_the_others() -> None:
    heads = KnownHeads()
    one, other = Wire(heads), Wire(heads)
    one.ask(PLAIN)
    other.ask(PLAIN)
    assert one.seen == other.seen
    assert other.connection._parser is not None


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN,
        PLAIN + b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["chunked", "closing", "no length", "an interim answer first", "bytes after it"],
)
def test_an_answer_that_is_not_plain_is_not_learned(answer: bytes) -> None:
    wire = Wire(KnownHeads())
    wire.ask(answer)
    assert wire.connection._heads._heads == {}


def test_the_answer_to_head_neither_teaches_nor_is_looked_up() -> None:
    wire = Wire(KnownHeads())
    wire.ask(PLAIN[:-4], is_head=True)
    assert wire.connection._heads._heads == {}
    wire.ask(PLAIN)
    wire.ask(PLAIN[:-4], is_head=True)
    assert [seen[3] for seen in wire.seen] == [b"", b"body", b""]


PIECES = st.sampled_from(
    [
        PLAIN,
        MARKED,
        PLAIN.replace(b"body", b"else"),
        PLAIN.replace(b"X-One: 1", b"X-One: 2"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ninfo\r\n\r\nx",
    ]
)


@given(st.lists(st.tuples(PIECES, st.integers(0, 60)), max_size=12))
def test_however_answers_are_cut_known_heads_change_nothing(
    answers: list[tuple[bytes, int]],
) -> None:
    parsed, known = Wire(NeverKnown()), Wire(KnownHeads())
    for answer, cut in answers:
        pieces = [piece for piece in (answer[:cut], answer[cut:]) if piece]
        for wire in (parsed, known):
            wire.ask(*pieces)
    assert known.seen == parsed.seen
    assert len(known.seen) == len(answers)


def test_where_heads_never_repeat_they_are_not_looked_up_for_long() -> None:
    heads = KnownHeads()
    said = Head(200, [], frozenset(), 0)
    for number in range(10_000):
        heads.find(b"%d" % number)
        heads.learn(b"%d" % number, said)
        assert len(heads._heads) <= 256
    assert not heads.is_worthwhile


def test_heads_that_mostly_repeat_are_looked_up_for_good() -> None:
    heads = KnownHeads()
    said = Head(200, [], frozenset(), 0)
    for number in range(50_000):
        head = b"%d" % (number // 8)
        if heads.find(head) is None:
            heads.learn(head, said)
    assert heads.is_worthwhile
