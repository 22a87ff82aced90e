"""One HTTP/1.1 connection to a provider, which pushes what it reads to a receiver.

The rule here: a chunk wakes no task. `data_received` parses and calls the receiver, which writes
downstream before it returns.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from typing_extensions import override

from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import (
    UpstreamBadResponseError,
    UpstreamCutError,
    UpstreamHungUpError,
    UpstreamProtocolError,
    UpstreamReplyTooLargeError,
)
from gateway.upstream.answer_parser import PARSER_ERRORS, AnswerParser
from gateway.upstream.inflate import BombError, InflateError, Inflater
from gateway.upstream.receiver import Receiver
from gateway.upstream.response_head import HeadError, find_header, parse_keep_alive_s

OnIdle = Callable[["Connection"], None]
OnGone = Callable[["Connection"], None]


class Connection(asyncio.Protocol):
    """A connection that serves one request at a time.

    It calls `on_idle` when it may serve another request, and `on_gone` when it is closed.
    """

    __slots__ = (
        "_answer",
        "_head_handed_on",
        "_inflater",
        "_is_flowing",
        "_offer_chunk",
        "_on_gone",
        "_on_idle",
        "_receiver",
        "_transport",
        "idle_until",
        "keep_alive_s",
        "label",
        "served",
    )

    def __init__(self, label: str, *, on_idle: OnIdle, on_gone: OnGone) -> None:
        self.label = label
        self.served = 0  # requests before the current one
        self.keep_alive_s: float | None = None  # as announced by the provider
        self.idle_until = 0.0  # when the pool closes it if unused; 0 while in use
        self._on_idle = on_idle
        self._on_gone = on_gone
        self._transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        self._answer = AnswerParser()
        self._head_handed_on = False
        self._is_flowing = False  # the receiver has the head, and the body needs no decoding
        # The receiver's `on_chunk`, while the next byte must begin a chunk.
        self._offer_chunk: Callable[[bytes], bool] | None = None
        self._inflater: Inflater | None = None

    @property
    def is_open(self) -> bool:
        """True while bytes can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def has_answered(self) -> bool:
        """True once any byte of the current answer has arrived."""
        return self._answer.head_bytes > 0

    @property
    def unsent_bytes(self) -> int:
        """How many bytes of the request the operating system has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send(self, request: bytes, receiver: Receiver) -> None:
        """Send one whole request; the receiver gets its answer.

        UpstreamHungUpError if the connection is already closed.
        """
        if self._transport is None or self._transport.is_closing():
            raise UpstreamHungUpError(f"The connection to {self.label} was closed.")
        self._receiver = receiver
        self._answer.restart()
        self._head_handed_on = False
        self._is_flowing = False
        self._inflater = None
        self._transport.write(request)

    def pause(self) -> None:
        """Stop reading, which slows the provider down. An idle connection always reads."""
        if self._receiver is None:
            return
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Start reading again after `pause`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def release(self, receiver: Receiver) -> None:
        """Send `receiver` nothing more; an answer in progress is cut off."""
        if self._receiver is receiver:
            self.abort()

    def abort(self) -> None:
        """Close at once; the receiver is not called again."""
        self._take_receiver()
        if self._transport is not None:
            self._transport.abort()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        offer = self._offer_chunk
        if offer is not None and offer(data):
            return
        answer = self._answer
        receiver = self._receiver
        if not self._is_flowing or receiver is None:
            self._receive(answer, data)
            return
        refusal = None
        try:
            answer.feed_data(data)
        except PARSER_ERRORS as error:
            refusal = answer.find_refusal(error)
        self._offer_chunk = receiver.on_chunk if answer.is_at_chunk(data) else None
        if answer.body:
            receiver.on_body(answer.take_body())
        elif refusal is None:
            refusal = answer.note_bodiless(data)
        if refusal is not None:
            self._refuse(refusal)
        elif answer.is_complete:
            self._finish()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._receiver is not None:
            if self._answer.is_headed and self._answer.framed_by_eof and exc is None:
                self._end()
            else:
                self._fail(self._cut_error(exc))
        self._answer.close()
        self._on_gone(self)

    def _receive(self, answer: AnswerParser, data: bytes) -> None:
        if self._receiver is None:
            self.abort()  # unrequested bytes on an idle connection: close it
            return
        refusal = answer.feed(data)
        if answer.is_headed:
            self._hand_on()
        if refusal is not None:
            self._refuse(refusal)
        elif answer.is_complete:
            self._finish()

    def _hand_on(self) -> None:
        """Give the receiver whatever this read added."""
        if not self._head_handed_on:
            self._head_handed_on = True
            self._hand_on_head()
        body = self._answer.take_body()
        if not body or self._receiver is None:
            return
        if self._inflater is not None:
            try:
                body = self._inflater.feed(body)
            except BombError as error:
                message = f"{self.label} sent a compressed answer that is too large when unpacked."
                self._give_up(UpstreamReplyTooLargeError(message, detail=str(error)))
                return
            except InflateError as error:
                message = f"{self.label} sent a compressed answer that cannot be read."
                self._give_up(UpstreamBadResponseError(message, detail=str(error)))
                return
        if body:
            self._receiver.on_body(body)

    def _hand_on_head(self) -> None:
        headers = self._answer.headers
        if self._receiver is not None:
            self._receiver.on_head(self._answer.status, headers)
        encoding = find_header(headers, b"content-encoding").lower()
        if encoding not in {b"", b"identity"}:
            if not Inflater.knows(encoding):
                self._give_up(
                    UpstreamBadResponseError(
                        f"{self.label} sent an encoded answer that was not asked for.",
                        detail=f"content-encoding {encoding[:40]!r}",
                    )
                )
                return
            self._inflater = Inflater(encoding)
        self._is_flowing = self._inflater is None

    def _finish(self) -> None:
        """The message is complete: tell the receiver, then go idle or close."""
        answer = self._answer
        if self._receiver is None:  # the receiver gave up during this read
            self.abort()
            return
        # A provider that answers before it has read the whole request may never read the rest,
        # and the next request would be stuck behind it.
        is_clear = self.is_open and not self.unsent_bytes
        reusable = answer.keeps_alive and not answer.has_excess and is_clear
        self.keep_alive_s = parse_keep_alive_s(answer.headers)
        self.served += 1
        self._end()
        if reusable:
            # The very last bytes may have caused a pause. An idle connection must read, or we
            # would notice neither its end nor the next answer.
            self.resume()
            self._on_idle(self)
        else:
            self.abort()

    def _take_receiver(self) -> Receiver | None:
        """The receiver to tell about the end; it is forgotten here, so it hears nothing more."""
        receiver, self._receiver, self._offer_chunk = self._receiver, None, None
        return receiver

    def _end(self) -> None:
        receiver = self._take_receiver()
        if receiver is None:
            return
        if self._inflater is not None and not self._inflater.is_finished:
            receiver.on_failed(UpstreamCutError(f"{self.label} ended a compressed answer early."))
        else:
            receiver.on_end()

    def _refuse(self, refusal: HeadError) -> None:
        self._give_up(
            UpstreamProtocolError(
                f"{self.label} sent something that is not valid HTTP/1.1.",
                detail=str(refusal)[:200],
            )
        )

    def _give_up(self, error: UpstreamError) -> None:
        self._fail(error)
        self.abort()

    def _fail(self, error: UpstreamError) -> None:
        receiver = self._take_receiver()
        if receiver is not None:
            receiver.on_failed(error)

    def _cut_error(self, exc: Exception | None) -> UpstreamError:
        detail = "closed" if exc is None else f"{type(exc).__name__}: {exc}"
        if not self.has_answered:
            return UpstreamHungUpError(
                f"{self.label} closed the connection before it answered.", detail=detail
            )
        return UpstreamCutError(
            f"{self.label} broke off in the middle of its answer.", detail=detail
        )
