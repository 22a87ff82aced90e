"""The demo answer: what somebody reads who has just started the gateway.

The rule here: pleasant, useful and short; of the question only a few harmless words come back.
"""

from __future__ import annotations

from gateway.simulator.content import split_words
from gateway.simulator.directive import Directive

GATEWAY_URL = "http://127.0.0.1:8080"
TTFT_S = 0.15
GAP_S = 0.025
GREETING = "Hello! You asked about “{topic}”. "
PLAIN_GREETING = "Hello! "
ANSWER = """I am the demo provider that is built into this gateway, so no model stands behind \
these words. But they came the way a model's words come: over a real connection, one token at a \
time, through every part of the gateway. If you can read this, it works.

To talk to a real model, you need its provider's key. Groq, OpenAI, Mistral and a dozen more are \
in providers.yaml already: set GROQ_API_KEY, for instance, and start the gateway again. One that \
is not there yet is two lines at the end of that file:

  mine:
    base_url: https://llm.example.org/v1

Its key goes into MINE_API_KEY. Any program that speaks the OpenAI API can use all of them:

curl {url}/v1/chat/completions -H 'content-type: application/json' \\
  -d '{{"model":"groq/llama-3.3-70b-versatile","messages":[{{"role":"user","content":"Hi"}}]}}'

Write “demo” for the model and “"stream":true” beside it to see me again. Have fun!"""


def write_demo(topic: str, gateway_url: str = GATEWAY_URL) -> Directive:
    """The demo answer to one request, at the pace of a fast reader."""
    greeting = GREETING.format(topic=topic) if topic else PLAIN_GREETING
    return Directive(
        tokens=split_words(greeting + ANSWER.format(url=gateway_url)),
        ttft_s=TTFT_S,
        gap_s=GAP_S,
        obey_max_tokens=True,
    )
