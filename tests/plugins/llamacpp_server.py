"""A llama.cpp server on a tiny model of random numbers; a program of its own.

The rule here: nothing is downloaded. The model speaks nonsense, but everything around it (slots,
sampling, streaming, error bodies) is the real thing. It runs until its standard input ends.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

SLOTS = 2
# Large, so that an answer without a limit goes on for many seconds unless somebody stops it.
SLOT_TOKENS = 32_768

WIDTH, LAYERS, HEADS, INNER_WIDTH = 64, 2, 4, 128
SPECIAL = ("<unk>", "<s>", "</s>")
WORDS = (
    "the",
    "a",
    "river",
    "stone",
    "and",
    "then",
    "it",
    "was",
    "grün",
    "naïve",
    "河",
    "🌊",
    ".",
    ",",
)
TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:"
)
RARE = 0.02  # factor on what single bytes and control tokens weigh in the output

Tensor = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def vocabulary() -> Iterator[tuple[str, gguf.TokenType]]:
    """Every token: three special ones, each byte, each character and some words."""
    yield SPECIAL[0], gguf.TokenType.UNKNOWN
    for special in SPECIAL[1:]:
        yield special, gguf.TokenType.CONTROL
    for byte in range(256):
        yield f"<0x{byte:02X}>", gguf.TokenType.BYTE
    characters = [chr(code) for code in range(33, 127)]
    for text in ["\u2581", *characters, *(f"\u2581{word}" for word in WORDS)]:
        yield text, gguf.TokenType.NORMAL


def write_model(path: Path) -> None:
    """Write a model file that llama.cpp loads."""
    tokens, kinds = zip(*vocabulary(), strict=True)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(SLOT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER_WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(number) for number in range(len(tokens))])
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    for name, tensor in tensors(len(tokens), rare=len(SPECIAL) + 256):
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensors(vocabulary_size: int, *, rare: int) -> Iterator[tuple[str, Tensor]]:
    """The weights, the same ones every time."""
    draw = np.random.default_rng(7)

    def weights(*shape: int) -> Tensor:
        return (draw.standard_normal(shape) * 0.1).astype(np.float32)

    yield "token_embd.weight", weights(vocabulary_size, WIDTH)
    output = weights(vocabulary_size, WIDTH)
    output[:rare] *= RARE
    yield "output.weight", output
    yield "output_norm.weight", np.ones(WIDTH, np.float32)
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{layer}.{name}.weight", weights(WIDTH, WIDTH)
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{name}.weight", np.ones(WIDTH, np.float32)
        for name in ("ffn_gate", "ffn_up"):
            yield f"blk.{layer}.{name}.weight", weights(INNER_WIDTH, WIDTH)
        yield f"blk.{layer}.ffn_down.weight", weights(WIDTH, INNER_WIDTH)


def serve(path: Path) -> None:
    """Serve the model on a free port of loopback, say where, and stay until nobody listens."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = SLOTS * SLOT_TOKENS
    params.n_parallel = SLOTS
    params.cpuparams.n_threads = 1
    params.endpoint_metrics = True
    params.use_jinja = True
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    model = Path(sys.argv[1])
    write_model(model)
    serve(model)
