// `/api/chat` from JavaScript, as a chat front end reads it; needs Node 18 or a browser.
//
//     node examples/text_stream.mjs [URL] [PROVIDER] [MODEL]
//
// The rule here: one decoder for the whole answer, because a character may be split in two.

const [url = "http://127.0.0.1:8080", provider = "demo", model = "demo"] = process.argv.slice(2);
const key = process.env.GATEWAY_KEY;

const response = await fetch(`${url}/api/chat/${provider}`, {
  method: "POST",
  headers: {
    "Content-Type": "application/json",
    ...(key ? { Authorization: `Bearer ${key}` } : {}),
  },
  body: JSON.stringify({
    chatSettings: { model, temperature: 0.5 },
    messages: [{ role: "user", content: "What can you do?" }],
  }),
});

if (!response.ok) {
  const { message } = await response.json();
  console.error(message);
  process.exit(1);
}

const decoder = new TextDecoder();
// Throws if the answer breaks off: a broken stream has no last chunk.
for await (const piece of response.body) {
  process.stdout.write(decoder.decode(piece, { stream: true }));
}
console.log("\nfinished");
