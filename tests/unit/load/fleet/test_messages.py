"""Messages: what is sent is what is read, and anything else is refused by name."""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped]  # what Locust packs with
import pytest

from surgeproof.errors import FormatError
from surgeproof.load.fleet.messages import (
    Leave,
    Message,
    Order,
    Ping,
    Shipment,
    read_message,
    to_data,
)

ORDER = Order("r", 1, "{}", {"Authorization": "secret"}, {"host": "a", "pid": 7})
LEAVE = Leave("r", [{"from_s": 0.0, "workers": [0, 1]}], 4.0, 3, 1.5, 2.5, 2.75)
SHIPMENT = Shipment("r", 2, 1.0, 5.0, b"\x00\xff", b"", ['{"key": "a"}'], [], is_last=True)


@pytest.mark.parametrize("message", [ORDER, LEAVE, SHIPMENT, Ping(1)], ids=lambda one: one.kind)
def test_a_message_is_read_as_it_was_sent(message: Message) -> None:
    # Packed as Locust packs it.
    data = msgpack.loads(msgpack.dumps(to_data(message)), raw=False, strict_map_key=False)
    assert read_message(type(message), data) == message


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"number": "2"}, "number"),
        ({"number": True}, "number"),
        ({"samples": "text"}, "samples"),
        ({"ledger": [1]}, "ledger"),
        ({"is_last": 1}, "is_last"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_another_versions_message_is_refused_by_name(change: dict[str, Any], what: str) -> None:
    with pytest.raises(FormatError, match=rf"surgeproof.shipment differs in {what}"):
        read_message(Shipment, to_data(SHIPMENT) | change)


def test_a_message_without_content_is_refused() -> None:
    with pytest.raises(FormatError, match="without content"):
        read_message(Ping, None)
