"""The `openai` package against the gateway: a stream, a whole answer, an error.

    python3 examples/openai_stream.py [URL] [MODEL]

The rule here: an answer only counts when its end has arrived.
"""

import os
import sys

from openai import APIStatusError, OpenAI

URL = "http://127.0.0.1:8080"
QUESTION = "What can you do?"


def main(url: str = URL, model: str = "demo/demo") -> None:
    """Ask in three ways."""
    # The gateway has retried if that could help, so the client does not.
    key = os.environ.get("GATEWAY_KEY", "none")
    client = OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    stream_answer(client, model)
    print_answer(client, model)
    print_error(client)
    print("finished")


def stream_answer(client: OpenAI, model: str) -> None:
    """Print an answer as it arrives."""
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": QUESTION}],
        max_tokens=40,
        stream=True,
    )
    for chunk in stream:  # raises when the answer breaks off
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
    print()


def print_answer(client: OpenAI, model: str) -> None:
    """Print an answer that is not streamed, and the tokens that it used."""
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": QUESTION}]
    )
    print(answer.choices[0].message.content)
    if answer.usage is not None:
        print(f"{answer.usage.total_tokens} tokens")


def print_error(client: OpenAI) -> None:
    """Print the gateway's error for a provider that does not exist."""
    try:
        client.chat.completions.create(
            model="nobody/nothing", messages=[{"role": "user", "content": QUESTION}]
        )
    except APIStatusError as error:
        print(error.status_code, error.code, error.response.headers["x-request-id"])


if __name__ == "__main__":
    main(*sys.argv[1:])
