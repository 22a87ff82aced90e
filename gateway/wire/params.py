"""How the registry's rules change a request body before it goes to a provider.

The rule here: a field that no rule names keeps its bytes and its position.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from gateway.wire.strict_json import join_list, join_object

NULL: Final = b"null"
TRUE: Final = b"true"

_decode_number = msgspec.json.Decoder().decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_items = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


class ParamRules(Protocol):
    """What one provider accepts; rules apply in the order drop, rename, set, cap.

    send: parameters of our own that this provider gets on `/api/chat` (`temperature`,
        `max_tokens`); it changes nothing on `/v1`.
    drop: fields to leave out: `seed`, or `messages[].name` for a field of every message.
    rename: old name to new name, in place. If the caller sent both, the new one stays and the
        old one is dropped, because providers want only one of the two.
    set: fields written whatever the caller sent.
    cap: the largest number a field may hold. Larger ones are lowered; what is not a number is
        left for the provider to refuse.
    """

    @property
    def send(self) -> Sequence[str]: ...  # noqa: D102 - explained above
    @property
    def drop(self) -> Sequence[str]: ...  # noqa: D102 - explained above
    @property
    def rename(self) -> Mapping[str, str]: ...  # noqa: D102 - explained above
    @property
    def set(self) -> Mapping[str, Any]: ...  # noqa: D102 - explained above
    @property
    def cap(self) -> Mapping[str, int | float | Decimal]: ...  # noqa: D102 - explained above


def apply_rules(fields: Mapping[str, bytes], rules: ParamRules) -> dict[str, bytes]:
    """The fields as this provider accepts them; `fields` itself is not changed."""
    result = dict(fields)
    for path in rules.drop:
        _drop(result, path)
    for old, new in rules.rename.items():
        result = _rename(result, old, new)
    for name, value in rules.set.items():
        result[name] = _encode(value)
    for name, limit in rules.cap.items():
        _cap(result, name, limit)
    return result


def ask_for_usage(fields: dict[str, bytes]) -> None:
    """Set `stream_options.include_usage` in place, keeping the caller's other options."""
    given = fields.get("stream_options", NULL)
    if given == NULL:
        fields["stream_options"] = b'{"include_usage":true}'
        return
    options = {name: bytes(value) for name, value in _decode_fields(given).items()}
    if options.get("include_usage") != TRUE:
        options["include_usage"] = TRUE
        fields["stream_options"] = join_object(options)


def _drop(fields: dict[str, bytes], path: str) -> None:
    parent, inner, child = path.partition("[].")
    if not inner:
        fields.pop(path, None)
    elif parent in fields:
        fields[parent] = _drop_in_items(fields[parent], child)


def _drop_in_items(items: bytes, name: str) -> bytes:
    try:
        decoded = _decode_items(items)
    except msgspec.ValidationError:  # not a list of objects: the provider will refuse it
        return items
    if not any(name in item for item in decoded):
        return items
    return join_list(
        join_object({key: bytes(value) for key, value in item.items() if key != name})
        for item in decoded
    )


def _rename(fields: dict[str, bytes], old: str, new: str) -> dict[str, bytes]:
    if old not in fields:
        return fields
    if fields.get(new, NULL) != NULL:
        del fields[old]
        return fields
    # A null under the new name is no value, so keep the old one, or its limit would be lost.
    return {new if name == old else name: fields[name] for name in fields if name != new}


def _cap(fields: dict[str, bytes], name: str, limit: float | Decimal) -> None:
    value = _decode_number(fields.get(name, NULL))
    if isinstance(value, int | float) and not isinstance(value, bool) and value > limit:
        whole = int(limit)
        fields[name] = _encode(whole if whole == limit else limit)
